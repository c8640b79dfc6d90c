//! Limits on the text of a bundle, checked before it is parsed: parsers and the validator recurse as deep as a text
//! nests, and their trees take a thousand times the memory of the text.

use super::bundle::Source;
use super::fault::Fault;

/// The deepest nesting of brackets and `if`s.
pub const MAX_NESTING: usize = 500;
/// The most operators and accesses in one policy, since each may be one level of its tree.
pub const MAX_OPERATORS: usize = 5_000;
/// The most tokens in one policy.
pub const MAX_POLICY_TOKENS: usize = 100_000;
/// The most tokens in all policies of a bundle together.
pub const MAX_TOKENS: usize = 2_000_000;
/// The most tokens in the schema.
pub const MAX_SCHEMA_TOKENS: usize = 200_000;

/// The text of one policy in a file, up to its `;`.
#[derive(Debug, Clone, Copy)]
pub struct PolicyText<'a> {
    /// Its offset in the file, in bytes.
    pub offset: usize,
    /// The text, including comments before the policy.
    pub text: &'a str,
}

/// A token, as far as the limits distinguish tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Comma,
    End,
    If,
    Operator,
    Other,
}

/// Splits a file into the texts of its policies, and counts its tokens. A policy beyond a limit becomes a fault and is
/// left out.
pub fn policies<'a>(source: &'a Source, faults: &mut Vec<Fault>) -> (Vec<PolicyText<'a>>, usize) {
    let mut found = Vec::new();
    let mut extent = Extent::default();
    let (mut start, mut total) = (0, 0);
    let mut finish = |range: std::ops::Range<usize>, extent: &mut Extent, faults: &mut Vec<Fault>| {
        let extent = std::mem::take(extent);
        total += extent.tokens;
        match (source.text.get(range.clone()), extent.fault()) {
            (Some(text), None) if extent.tokens > 0 => found.push(PolicyText { offset: range.start, text }),
            (_, Some(detail)) => {
                let begin = extent.begin.unwrap_or(range.start);
                faults.push(Fault::at(&source.file, &source.text, begin, format!("the policy {detail}")));
            }
            _ => {}
        }
    };
    for (offset, token) in Tokens::new(&source.text) {
        extent.take(offset, token);
        if token == Token::End {
            finish(start..offset + 1, &mut extent, faults);
            start = offset + 1;
        }
    }
    finish(start..source.text.len(), &mut extent, faults);
    (found, total)
}

/// The limit that a schema's text exceeds, if any.
pub fn schema_fault(source: &Source) -> Option<Fault> {
    let (mut depth, mut count) = (0_usize, 0);
    for (offset, token) in Tokens::of_schema(&source.text) {
        count += 1;
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            let detail = format!("nests deeper than {MAX_NESTING} brackets");
            return Some(Fault::at(&source.file, &source.text, offset, detail));
        }
    }
    let detail = || format!("has more than {MAX_SCHEMA_TOKENS} tokens");
    (count > MAX_SCHEMA_TOKENS).then(|| Fault::of_file(&source.file, detail()))
}

/// The size and nesting of one policy.
#[derive(Debug, Default)]
struct Extent {
    begin: Option<usize>,
    tokens: usize,
    operators: usize,
    /// For each open bracket, the number of open `if`s in its current item.
    open: Vec<usize>,
    ifs: usize,
    depth: usize,
    deepest: usize,
}

impl Extent {
    fn take(&mut self, offset: usize, token: Token) {
        self.begin.get_or_insert(offset);
        self.tokens += 1;
        match token {
            Token::Open => {
                // Once a policy is refused, its nesting need not be tracked.
                if self.open.len() <= MAX_NESTING {
                    self.open.push(std::mem::take(&mut self.ifs));
                }
                self.operators += 1;
                self.depth += 1;
            }
            Token::Close => {
                self.depth = self.depth.saturating_sub(1 + self.ifs);
                self.ifs = self.open.pop().unwrap_or(0);
            }
            Token::Comma => {
                self.depth = self.depth.saturating_sub(self.ifs);
                self.ifs = 0;
            }
            Token::If => {
                self.ifs += 1;
                self.depth += 1;
            }
            Token::Operator => self.operators += 1,
            Token::End | Token::Other => {}
        }
        self.deepest = self.deepest.max(self.depth);
    }

    fn fault(&self) -> Option<String> {
        if self.deepest > MAX_NESTING {
            Some(format!("nests deeper than {MAX_NESTING} brackets and `if`s"))
        } else if self.operators > MAX_OPERATORS {
            Some(format!("has more than {MAX_OPERATORS} operators and brackets; split it into several"))
        } else if self.tokens > MAX_POLICY_TOKENS {
            Some(format!("has more than {MAX_POLICY_TOKENS} tokens; split it into several"))
        } else {
            None
        }
    }
}

/// Splits a Cedar text into tokens, skipping the contents of strings and comments.
struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    /// Whether `<` and `>` are brackets, as in a schema.
    is_schema: bool,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0, is_schema: false }
    }

    fn of_schema(text: &'a str) -> Self {
        Self { is_schema: true, ..Self::new(text) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_while(&mut self, holds: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&holds) {
            self.at += 1;
        }
    }

    /// Skips to the end of a string, closing quote included.
    fn skip_text(&mut self) {
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'"' => return,
                _ => {}
            }
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = (usize, Token);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.at;
            let byte = self.peek()?;
            self.at += 1;
            let token = match byte {
                _ if byte.is_ascii_whitespace() => continue,
                b'/' if self.peek() == Some(b'/') => {
                    self.skip_while(|byte| byte != b'\n' && byte != b'\r');
                    continue;
                }
                b'"' => {
                    self.skip_text();
                    Token::Other
                }
                b'(' | b'[' | b'{' => Token::Open,
                b')' | b']' | b'}' => Token::Close,
                b'<' if self.is_schema => Token::Open,
                b'>' if self.is_schema => Token::Close,
                b',' => Token::Comma,
                b';' => Token::End,
                _ if is_word(byte) => {
                    self.skip_while(is_word);
                    if self.text.get(start..self.at) == Some(b"if") { Token::If } else { Token::Other }
                }
                b'=' | b'&' | b'|' | b'<' | b'>' => {
                    self.skip_while(|byte| b"=&|<>".contains(&byte));
                    Token::Operator
                }
                _ if byte.is_ascii_punctuation() && byte != b':' => Token::Operator,
                _ => Token::Other,
            };
            return Some((start, token));
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
