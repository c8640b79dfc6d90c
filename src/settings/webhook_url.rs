//! The URL of a webhook. Receivers often have a token in its path.

use std::fmt;

use super::{address::HttpUrl, rule::TextSetting};

/// An `http` or `https` URL whose path is secret. As text it has an ellipsis for its path.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(HttpUrl);

impl WebhookUrl {
    /// The URL with its path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.0.origin();
        f.write_str(origin)?;
        if origin == self.as_str() { Ok(()) } else { f.write_str("/…") }
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({:?})", self.to_string())
    }
}

impl TextSetting for WebhookUrl {
    fn allowed() -> String {
        HttpUrl::allowed()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        HttpUrl::read(text).map(Self)
    }

    fn write(&self) -> String {
        self.0.write()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_kept_and_not_shown() {
        for (text, shown) in [
            ("https://hooks.example/services/T0/token", "https://hooks.example/…"),
            ("http://127.0.0.1:9093/alerts", "http://127.0.0.1:9093/…"),
            ("https://hooks.example/", "https://hooks.example"),
        ] {
            let url = WebhookUrl::read(text).unwrap();
            assert_eq!((url.as_str(), &*url.write(), &*url.show()), (text.trim_end_matches('/'), url.as_str(), shown));
            assert_eq!(format!("{url:?}"), format!("WebhookUrl({shown:?})"));
        }
    }
}
