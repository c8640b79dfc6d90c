//! Copies of bundles by digest, so that decisions made under them can be replayed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::bundle::Bundle;
use crate::domain::ConstitutionDigest;

/// Where the bundle of that digest is kept.
#[must_use]
pub fn kept(folder: &Path, digest: &ConstitutionDigest) -> PathBuf {
    folder.join(digest.to_string())
}

impl Bundle {
    /// Keeps a durable copy in a folder named by its digest within `folder`, which is created if it is missing. Test
    /// cases are left out: they do not affect decisions.
    pub fn keep(&self, folder: &Path) -> io::Result<()> {
        let place = kept(folder, &self.digest());
        if Self::read(&place).is_ok_and(|copy| copy.digest() == self.digest()) {
            return Ok(());
        }
        make_folder(folder)?;
        folder.parent().map_or(Ok(()), |above| File::open(above)?.sync_all())?;
        let temporary = folder.join("next.tmp");
        for rest in [&temporary, &place] {
            match fs::remove_dir_all(rest) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        make_folder(&temporary)?;
        let sources = [&self.manifest, &self.schema].into_iter().chain(&self.policies).chain(&self.entities);
        for source in sources {
            let file = temporary.join(&source.file);
            let parent = file.parent().unwrap_or(&temporary);
            make_folder(parent)?;
            let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
            made.write_all(source.text.as_bytes())?;
            made.sync_all()?;
            for above in parent.ancestors().take_while(|above| above.starts_with(&temporary)) {
                File::open(above)?.sync_all()?;
            }
        }
        // The folder is created for a bundle without policies, too.
        make_folder(&temporary.join("policies"))?;
        File::open(&temporary)?.sync_all()?;
        fs::rename(&temporary, &place)?;
        File::open(folder)?.sync_all()
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_digest_of_its_bundle_and_is_mended_where_it_was_changed() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("settings/constitution");
        let bundle = Bundle::read(&shipped).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("constitutions");
        let place = kept(&folder, &bundle.digest());
        for _ in 0..2 {
            bundle.keep(&folder).unwrap();
            let copy = Bundle::read(&place).unwrap();
            assert_eq!((copy.digest(), copy.cases.len()), (bundle.digest(), 0));
            assert_eq!(copy.entities.map(|source| source.text), bundle.entities.clone().map(|source| source.text));
            fs::write(place.join("constitution.toml"), "changed").unwrap();
        }
    }
}
