//! Forms, as transcriptions come in: read the way Go reads them, without copying a file.

use memchr::memmem;

use crate::name::ModelName;
use crate::request::api::Api;
use crate::request::check::{RequestHead, RequestKind};
use crate::request::options::LoadOptions;
use crate::request::rejection::{Place, Rejection};
use crate::request::text::quoted;

/// The one route that takes forms.
const API: Api = Api::V1AudioTranscriptions;

/// Why a body is no form, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum FormError {
    #[error("request Content-Type isn't multipart/form-data")]
    NotMultipart,
    #[error("no multipart boundary param in Content-Type")]
    NoBoundary,
    #[error("multipart: boundary is empty")]
    EmptyBoundary,
    #[error("multipart: NextPart: EOF")]
    NoNextPart,
    #[error("multipart: unexpected line in Next(): {0}")]
    UnexpectedLine(String),
    #[error("unexpected EOF")]
    Truncated,
}

/// The fields that matter here; of equal names the first one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Form<'a> {
    model: Option<&'a [u8]>,
    /// The file, where one is attached.
    file: Option<&'a [u8]>,
}

/// One part: what is said of it, and what it holds.
#[derive(Debug, PartialEq, Eq)]
struct Part<'a> {
    head: &'a [u8],
    body: &'a [u8],
}

/// The parts of a body, one after the other.
struct Parts<'a> {
    rest: &'a [u8],
    /// What a line begins with that separates two parts.
    dashes: Vec<u8>,
    /// How lines end: some clients leave out the carriage return.
    newline: &'static [u8],
    begun: bool,
}

/// Reads the body of a transcription request, a form with a model and a file.
///
/// The file is passed over where it lies.
///
/// # Errors
///
/// What the target would refuse without loading anything.
pub fn scan_form(content_type: Option<&str>, body: &[u8]) -> Result<RequestHead, Rejection> {
    let refuse = |message: &str| Rejection::new(API, Place::Translation, 400, message);
    let form = Form::read(content_type, body)
        .map_err(|error| refuse(&format!("failed to parse multipart form: {error}")))?;
    let model = match form.model {
        Some(model) if !model.is_empty() => String::from_utf8_lossy(model).into_owned(),
        Some(_) | None => return Err(refuse("model is required")),
    };
    match form.file {
        Some(file) if !file.is_empty() => {}
        Some(_) => return Err(refuse("audio file is empty")),
        None => return Err(refuse("file is required: http: no such file")),
    }
    let name = ModelName::parse(&model)
        .map_err(|error| Rejection::new(API, Place::Handler, 400, error.to_string()))?;
    Ok(RequestHead {
        model,
        name,
        stream: false,
        keep_alive: None,
        load_options: LoadOptions::default(),
        kind: RequestKind::Generate,
        object_end: 0,
    })
}

impl<'a> Form<'a> {
    fn read(content_type: Option<&str>, body: &'a [u8]) -> Result<Self, FormError> {
        let boundary = boundary(content_type.unwrap_or_default())?;
        let mut parts = Parts::new(body, &boundary);
        let mut form = Self::default();
        while let Some(part) = parts.next()? {
            let Some(disposition) = part.disposition() else {
                continue;
            };
            let is_file = ["filename", "filename*"]
                .iter()
                .any(|name| parameter(&disposition, name).is_some_and(|name| !name.is_empty()));
            match (parameter(&disposition, "name").as_deref(), is_file) {
                (Some("model"), false) => {
                    form.model.get_or_insert(part.body);
                }
                (Some("file"), true) => {
                    form.file.get_or_insert(part.body);
                }
                (Some(_) | None, _) => {}
            }
        }
        Ok(form)
    }
}

impl<'a> Parts<'a> {
    fn new(body: &'a [u8], boundary: &str) -> Self {
        Self {
            rest: body,
            dashes: format!("--{boundary}").into_bytes(),
            newline: b"\r\n",
            begun: false,
        }
    }

    fn next(&mut self) -> Result<Option<Part<'a>>, FormError> {
        loop {
            let (line, rest) = split_line(self.rest);
            if self.is_end(line) {
                return Ok(None);
            }
            if rest.is_empty() && !line.ends_with(b"\n") {
                return Err(FormError::NoNextPart);
            }
            self.rest = rest;
            if self.is_delimiter(line) {
                self.begun = true;
                return self.part().map(Some);
            }
            // What precedes the first part is for people with very old programs.
            if self.begun {
                let line = String::from_utf8_lossy(line);
                return Err(FormError::UnexpectedLine(quoted(&line)));
            }
        }
    }

    /// Takes the part that begins here.
    fn part(&mut self) -> Result<Part<'a>, FormError> {
        let whole = self.rest;
        let mut body = whole;
        loop {
            let (line, rest) = split_line(body);
            if !line.ends_with(b"\n") {
                return Err(FormError::Truncated);
            }
            body = rest;
            if line.trim_ascii_end().is_empty() {
                break;
            }
        }
        let head = whole.len().saturating_sub(body.len());
        let (end, next) = self.end_of(body).ok_or(FormError::Truncated)?;
        self.rest = body.get(next..).unwrap_or_default();
        Ok(Part {
            head: whole.get(..head).unwrap_or_default(),
            body: body.get(..end).unwrap_or_default(),
        })
    }

    /// Returns where a part's body ends, and where the line begins that separates it from the next.
    fn end_of(&self, body: &[u8]) -> Option<(usize, usize)> {
        if body.starts_with(&self.dashes) && self.separates(body) {
            return Some((0, 0));
        }
        let mark = [self.newline, &self.dashes].concat();
        memmem::find_iter(body, &mark).find_map(|end| {
            let next = end.saturating_add(self.newline.len());
            let line = body.get(next..).unwrap_or_default();
            self.separates(line).then_some((end, next))
        })
    }

    /// Tells whether a line that begins with the boundary goes no further: a longer word is
    /// content.
    fn separates(&self, line: &[u8]) -> bool {
        match line.get(self.dashes.len()..).unwrap_or_default() {
            [] | [b' ' | b'\t' | b'\r' | b'\n', ..] => true,
            rest => rest.starts_with(b"--"),
        }
    }

    fn is_delimiter(&mut self, line: &[u8]) -> bool {
        let Some(rest) = line.strip_prefix(self.dashes.as_slice()) else {
            return false;
        };
        let rest = without_spaces(rest);
        if !self.begun && rest == b"\n" {
            self.newline = b"\n";
        }
        rest == self.newline
    }

    fn is_end(&self, line: &[u8]) -> bool {
        line.strip_prefix(self.dashes.as_slice())
            .and_then(|rest| rest.strip_prefix(b"--"))
            .map(without_spaces)
            .is_some_and(|rest| rest.is_empty() || rest == self.newline)
    }
}

impl Part<'_> {
    /// Returns what the part says about itself, if it is a field of a form.
    fn disposition(&self) -> Option<String> {
        let lines = self.head.split(|byte| *byte == b'\n');
        let line = lines.map(String::from_utf8_lossy).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-disposition")
                .then(|| value.trim().to_owned())
        })?;
        media_type(&line)
            .eq_ignore_ascii_case("form-data")
            .then_some(line)
    }
}

/// Splits off the first line, with its end.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at.saturating_add(1));
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}

fn without_spaces(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Finds what separates the parts of a form.
fn boundary(content_type: &str) -> Result<String, FormError> {
    if !media_type(content_type).eq_ignore_ascii_case("multipart/form-data") {
        return Err(FormError::NotMultipart);
    }
    let boundary = parameter(content_type, "boundary").ok_or(FormError::NoBoundary)?;
    if boundary.is_empty() {
        return Err(FormError::EmptyBoundary);
    }
    Ok(boundary)
}

fn media_type(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// Finds a parameter of a header's value; a quoted one may hold anything.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (found, after) = parameter_value(after.trim_start());
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(found);
        }
        rest = after.split_once(';')?.1;
    }
}

/// Takes a value, and returns what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (value, after) = text.split_at_checked(end).unwrap_or((text, ""));
        return (value.trim().to_owned(), after);
    };
    let mut value = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            // A path of Windows is no escape.
            '\\' if matches!(chars.as_str().chars().next(), Some('"' | '\\')) => {
                value.extend(chars.next());
            }
            c => value.push(c),
        }
    }
    (value, chars.as_str())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=b";

    fn field(name: &str, value: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    fn file(bytes: &str) -> String {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a; b.wav\"\r\n\
             Content-Type: audio/wav\r\n\r\n{bytes}\r\n"
        )
    }

    fn model(content_type: &str, body: &str) -> Result<String, String> {
        scan_form(Some(content_type), body.as_bytes())
            .map(|head| head.model)
            .map_err(|rejection| rejection.message)
    }

    #[test]
    fn the_model_is_found_before_and_behind_the_file() {
        let before = format!("{}{}--b--\r\n", field("model", "M:1"), file("RIFF"));
        let behind = format!("{}{}--b--\r\n", file("RIFF"), field("model", "M:1"));

        assert_eq!(model(TYPE, &before), Ok("M:1".to_owned()));
        assert_eq!(model(TYPE, &behind), Ok("M:1".to_owned()));
    }

    #[test]
    fn a_transcription_comes_in_one_piece_and_takes_no_options() {
        let body = format!("{}{}--b--", field("model", "M"), file("RIFF"));

        let head = scan_form(Some(TYPE), body.as_bytes()).unwrap();

        assert_eq!(head.name.canonical(), "m:latest");
        assert_eq!((head.stream, head.kind), (false, RequestKind::Generate));
    }

    #[test]
    fn the_first_of_equal_fields_counts() {
        let fields = format!("{}{}", field("model", "one"), field("model", "two"));
        let body = format!("{fields}{}--b--\r\n", file("RIFF"));

        assert_eq!(model(TYPE, &body), Ok("one".to_owned()));
    }

    #[test]
    fn what_looks_like_a_boundary_within_a_file_is_content() {
        let noise = "x--b\r\n--bc\r\n-- b\r\n--b-\r\nname=\"model\"\r\n\r\nfalse";
        let body = format!("{}{}--b--\r\n", file(noise), field("model", "m"));

        assert_eq!(model(TYPE, &body), Ok("m".to_owned()));
    }

    #[test]
    fn a_refusal_has_the_shape_of_the_route() {
        let rejection = scan_form(None, b"x").unwrap_err();

        assert_eq!((rejection.status, rejection.shape), (400, API.shape()));
    }

    #[rstest]
    #[case("Multipart/Form-Data; charset=utf-8; Boundary=\"b\"")]
    #[case("multipart/form-data;boundary=b")]
    #[case("multipart/form-data; x=\"a;boundary=c\"; boundary=b")]
    fn the_boundary_is_found_however_it_is_written(#[case] content_type: &str) {
        let body = format!("{}{}--b--\r\n", field("model", "m"), file("RIFF"));

        assert_eq!(model(content_type, &body), Ok("m".to_owned()));
    }

    #[test]
    fn bare_newlines_and_a_preamble_are_read_as_go_reads_them() {
        let body = format!("hello\n{}{}--b--\n", field("model", "m"), file("RIFF"));

        assert_eq!(model(TYPE, &body.replace('\r', "")), Ok("m".to_owned()));
    }

    #[rstest]
    #[case("", "request Content-Type isn't multipart/form-data")]
    #[case("application/json", "request Content-Type isn't multipart/form-data")]
    #[case("multipart/form-data", "no multipart boundary param in Content-Type")]
    #[case("multipart/form-data; boundary=\"\"", "multipart: boundary is empty")]
    #[case(TYPE, "multipart: NextPart: EOF")]
    fn a_type_that_says_too_little_is_refused(#[case] content_type: &str, #[case] error: &str) {
        let expected = format!("failed to parse multipart form: {error}");

        assert_eq!(model(content_type, "x"), Err(expected));
    }

    #[rstest]
    #[case(field("model", "m"), "unexpected EOF")]
    #[case(field("model", "m") + "--b", "multipart: NextPart: EOF")]
    #[case(file("RIFF").trim_end().to_owned(), "unexpected EOF")]
    #[case("--b\r\nContent-Disposition: form".to_owned(), "unexpected EOF")]
    #[case(
        format!("{}--b--no\r\n", field("model", "m")),
        "multipart: unexpected line in Next(): \"--b--no\\r\\n\""
    )]
    fn a_form_that_breaks_off_is_refused(#[case] body: String, #[case] error: &str) {
        let expected = format!("failed to parse multipart form: {error}");

        assert_eq!(model(TYPE, &body), Err(expected));
    }

    #[rstest]
    #[case(file("RIFF"), "model is required")]
    #[case(field("model", "") + &file("RIFF"), "model is required")]
    #[case(field("model", "m"), "file is required: http: no such file")]
    #[case(field("model", "m") + &field("file", "RIFF"), "file is required: http: no such file")]
    #[case(field("model", "m") + &file(""), "audio file is empty")]
    fn what_is_missing_is_named(#[case] parts: String, #[case] message: &str) {
        assert_eq!(
            model(TYPE, &format!("{parts}--b--\r\n")),
            Err(message.to_owned())
        );
    }
}
