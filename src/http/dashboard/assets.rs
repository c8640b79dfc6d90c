//! The files of the dashboard, embedded in the binary.

use std::sync::LazyLock;

use crate::http::static_file::StaticFile;

/// The page itself.
pub const INDEX: &str = "index.html";

macro_rules! assets {
    ($($name:literal)*) => {
        const ASSETS: &[(&str, &[u8])] = &[$(($name, include_bytes!(concat!("assets/", $name))),)*];
    };
}

assets! {
    "LICENSE-uPlot"
    "advice.js"
    "again.js"
    "alerts.js"
    "api.js"
    "bench.js"
    "changes.js"
    "charts.js"
    "decisions.js"
    "denials.js"
    "dom.js"
    "entities_read.js"
    "event_words.js"
    "explanation.js"
    "facts.js"
    "figures.js"
    "filters.js"
    "format.js"
    "head.js"
    "icon.svg"
    "index.html"
    "index_lag.js"
    "json.js"
    "live.js"
    "main.js"
    "merkle.js"
    "note.js"
    "operations.js"
    "overview.js"
    "parts.css"
    "policies.js"
    "poll.js"
    "proof.js"
    "reasons.js"
    "record.js"
    "router.js"
    "session.js"
    "spans.js"
    "style.css"
    "theme.js"
    "trust.js"
    "try.js"
    "uPlot.esm.js"
    "uPlot.min.css"
    "verification.js"
    "vocabulary.js"
    "whole_record.js"
    "why.js"
}

/// The files of [`ASSETS`], in the same order.
static FILES: LazyLock<Vec<StaticFile>> =
    LazyLock::new(|| ASSETS.iter().map(|(name, content)| StaticFile::new(*content, media_type(name))).collect());

/// The file of that name.
pub fn find(name: &str) -> Option<&'static StaticFile> {
    FILES.get(ASSETS.iter().position(|(asset, _)| *asset == name)?)
}

/// The media type of a file, by the ending of its name. A file of any other ending is text, such as a licence.
fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
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
        let named: BTreeSet<_> = ASSETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(named, files.collect());
        assert_eq!(named.len(), ASSETS.len(), "a name is there twice");
        assert!(find(INDEX).is_some());
    }

    #[test]
    fn the_ending_of_a_name_tells_its_media_type() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("uPlot.esm.js", "text/javascript; charset=utf-8"),
            ("style.css", "text/css; charset=utf-8"),
            ("icon.svg", "image/svg+xml"),
            ("LICENSE-uPlot", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(media_type(name), expected, "{name}");
        }
    }
}
