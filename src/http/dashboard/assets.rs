//! The files of the dashboard, embedded in the binary.

use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// A file of the dashboard.
#[derive(Debug)]
pub struct Asset {
    /// Its name in the folder `assets`, and in the URL.
    pub name: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes.
    pub content: &'static [u8],
}

/// The page itself.
pub const INDEX: &str = "index.html";

const HTML: &str = "text/html; charset=utf-8";

macro_rules! assets {
    ($($name:literal, $content_type:expr;)*) => {
        const ASSETS: &[Asset] = &[$(
            Asset {
                name: $name,
                content_type: $content_type,
                content: include_bytes!(concat!("assets/", $name)),
            },
        )*];
    };
}

assets! {
    "index.html", HTML;
}

/// The opaque entity tags of [`ASSETS`], in the same order: digests, so they change only with the contents.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |asset: &Asset| HEXLOWER.encode(Sha256::digest(asset.content).get(..12).unwrap_or_default());
    ASSETS.iter().map(tag).collect()
});

/// The file of that name and its opaque entity tag.
pub fn find(name: &str) -> Option<(&'static Asset, &'static str)> {
    let found = ASSETS.iter().zip(TAGS.iter()).find(|(asset, _)| asset.name == name);
    found.map(|(asset, tag)| (asset, tag.as_str()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_table_has_every_file_of_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/dashboard/assets");
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let named: BTreeSet<_> = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
        assert_eq!(named, files.collect());
        assert_eq!(named.len(), ASSETS.len(), "a name is there twice");
    }

    #[test]
    fn a_media_type_fits_the_name() {
        for asset in ASSETS {
            let expected = match asset.name.rsplit_once('.').map(|(_, ending)| ending) {
                Some("html") => "text/html; charset=utf-8",
                Some("js") => "text/javascript; charset=utf-8",
                Some("css") => "text/css; charset=utf-8",
                Some("svg") => "image/svg+xml",
                _ => "text/plain; charset=utf-8",
            };
            assert_eq!(asset.content_type, expected, "{}", asset.name);
            assert!(!asset.content.is_empty(), "{}", asset.name);
        }
    }
}
