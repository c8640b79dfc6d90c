//! W3C Trace Context: the trace that a request belongs to.

use std::fmt;

/// The id of a trace, not zero. As text it is 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

/// The id of a span, not zero. As text it is 16 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanId(u64);

/// The flag of a sampled trace (section 3.2.2.5.1).
const SAMPLED: u8 = 1;

/// The trace of a request, with the span of the request in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    pub(super) trace: TraceId,
    /// The caller's span; `None` if the trace begins here.
    pub(super) parent: Option<SpanId>,
    pub(super) span: SpanId,
    flags: u8,
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl SpanId {
    /// A random id.
    pub(super) fn new() -> Self {
        Self(rand::random_range(1..=u64::MAX))
    }
}

impl TraceContext {
    /// A new, sampled trace.
    #[must_use]
    pub fn sampled() -> Self {
        let trace = TraceId(rand::random_range(1..=u128::MAX));
        Self { trace, parent: None, span: SpanId::new(), flags: SAMPLED }
    }

    /// The caller's trace, with a new span for this request (section 3.2); `None` if the header is invalid.
    #[must_use]
    pub fn continued(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let is_sound =
            is_hex(version, 2) && version != "ff" && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
        if !is_sound || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let parent = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace: TraceId(trace), parent: Some(SpanId(parent)), span: SpanId::new(), flags })
    }

    /// The trace's id.
    #[must_use]
    pub fn trace(&self) -> TraceId {
        self.trace
    }

    /// Whether the caller, or this daemon where the trace begins, records it.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The value of the header `traceparent` that names the span of this request.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_trace_is_continued_with_a_span_of_its_own() {
        for (flags, is_sampled) in [("00", false), ("01", true), ("03", true), ("02", false)] {
            for (version, more) in [("00", ""), ("01", ""), ("cc", "-what-the-future-is-like")] {
                let context = TraceContext::continued(&format!("{version}-{TRACE}-{SPAN}-{flags}{more}")).unwrap();
                assert_eq!((context.trace().to_string().as_str(), context.is_sampled()), (TRACE, is_sampled));
                assert_eq!(context.parent.map(|span| span.to_string()).as_deref(), Some(SPAN));
                assert_ne!(context.span.to_string(), SPAN);
                assert_eq!(context.traceparent(), format!("00-{TRACE}-{}-{flags}", context.span));
            }
        }
    }

    #[test]
    fn a_header_that_names_no_trace_is_ignored() {
        for header in [
            String::new(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-+{}-{SPAN}-01", TRACE.get(1..).unwrap()),
        ] {
            assert_eq!(TraceContext::continued(&header), None, "{header}");
        }
    }

    #[test]
    fn a_new_trace_is_sampled_and_has_no_parent() {
        let (one, other) = (TraceContext::sampled(), TraceContext::sampled());
        assert!(one.is_sampled() && one.parent.is_none() && one.trace != other.trace);
        assert_eq!(TraceContext::continued(&one.traceparent()).unwrap().trace, one.trace);
    }
}
