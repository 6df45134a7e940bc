//! Kinds of text.

use portcullis_core::domain::report::FileType;

use super::named;

/// Bytes of the beginning (and of the end) that are looked at.
const PROBE: usize = 64 * 1024;

/// The kind of text a content is; `None` if it is none.
pub(super) fn detect(content: &[u8]) -> Option<FileType> {
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return utf16(content).then(|| named("text/plain", "UTF-16 Unicode text", &[], "T"));
    }
    let head = content.get(..PROBE).unwrap_or(content);
    let tail = content.get(content.len().saturating_sub(PROBE).max(head.len())..).unwrap_or_default();
    if !is_text(head) || !is_text(tail) {
        return None;
    }
    let body = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    Some(kind(body, content).unwrap_or_else(|| {
        let description = if head.is_ascii() && tail.is_ascii() { "ASCII text" } else { encoding(head) };
        named("text/plain", description, &[], "T")
    }))
}

/// No NUL, and few control characters that text does not have.
fn is_text(bytes: &[u8]) -> bool {
    let odd = |b: &u8| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x08 | 0x1b | 0x1a) || *b == 0x7f;
    if memchr::memchr(0, bytes).is_some() || bytes.iter().filter(|b| odd(b)).count() * 100 > bytes.len() {
        return false;
    }
    // Text in other encodings has high bytes among many letters; compressed data has them everywhere.
    is_utf8(bytes) || bytes.iter().filter(|b| **b >= 0x80).count() * 3 < bytes.len()
}

/// UTF-8, but for a character that the probe cut at either end.
fn is_utf8(bytes: &[u8]) -> bool {
    let start = bytes.iter().take(3).take_while(|b| **b & 0xc0 == 0x80).count();
    match std::str::from_utf8(bytes.get(start..).unwrap_or_default()) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

fn encoding(bytes: &[u8]) -> &'static str {
    if is_utf8(bytes) { "UTF-8 Unicode text" } else { "Non-ISO extended-ASCII text" }
}

fn utf16(content: &[u8]) -> bool {
    let big = content.starts_with(b"\xfe\xff");
    let units = content.get(2..PROBE.min(content.len())).unwrap_or_default().as_chunks::<2>().0;
    let unit = |pair: &[u8; 2]| if big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) };
    units.iter().all(|pair| unit(pair) != 0) && char::decode_utf16(units.iter().map(unit)).filter(Result::is_err).count() <= 1
}

fn kind(body: &[u8], content: &[u8]) -> Option<FileType> {
    let lower: Vec<u8> = body.iter().take(1024).map(u8::to_ascii_lowercase).collect();
    let begins = |what: &[u8]| lower.starts_with(what);
    let has = |what: &[u8]| memchr::memmem::find(&lower, what).is_some();
    if begins(b"#!") {
        let line = String::from_utf8_lossy(lower.split(|b| *b == b'\n').next().unwrap_or_default()).into_owned();
        let (mime, description) = match &line {
            line if line.contains("python") => ("text/x-python", "Python script"),
            line if line.contains("perl") => ("text/x-perl", "Perl script"),
            line if line.contains("ruby") => ("text/x-ruby", "Ruby script"),
            line if line.contains("node") => ("text/javascript", "Node.js script"),
            line if line.contains("php") => ("text/x-php", "PHP script"),
            line if line.contains("pwsh") => ("text/x-powershell", "PowerShell script"),
            _ => ("text/x-shellscript", "Shell script"),
        };
        return Some(named(mime, description, &[], "T"));
    }
    if begins(b"<?php") {
        return Some(named("text/x-php", "PHP script", &[], "T"));
    }
    if begins(b"<hta:application") || (begins(b"<") && has(b"<hta:application")) {
        return Some(named("application/hta", "HTML application", &[], "T"));
    }
    if begins(b"<!doctype html") || begins(b"<html") || (begins(b"<") && has(b"<html")) {
        return Some(named("text/html", "HTML document", &[], "T"));
    }
    if begins(b"<?xml") {
        let svg = has(b"<svg");
        return Some(if svg {
            named("image/svg+xml", "SVG image", &["svg", "xml"], "G")
        } else {
            named("application/xml", "XML document", &[], "T")
        });
    }
    if begins(b"<svg") {
        return Some(named("image/svg+xml", "SVG image", &["svg"], "G"));
    }
    if begins(b"{\\rtf") {
        return Some(named("application/rtf", "Rich Text Format", &["rtf", "doc"], "D"));
    }
    if begins(b"@echo off") || begins(b"@echo on") || begins(b"@setlocal") || begins(b"setlocal ") {
        return Some(named("text/x-msdos-batch", "DOS batch file", &[], "T"));
    }
    if begins(b"<job") || begins(b"<package>") && has(b"<script") {
        return Some(named("text/x-wsf", "Windows script file", &[], "T"));
    }
    if begins(b"windows registry editor") || begins(b"regedit4") {
        return Some(named("text/x-ms-regedit", "Windows registry file", &[], "T"));
    }
    if begins(b"[internetshortcut]") {
        return Some(named("application/x-mswinurl", "Internet shortcut", &[], "T"));
    }
    if begins(b"begin:vcard") {
        return Some(named("text/vcard", "vCard", &[], "T"));
    }
    if begins(b"begin:vcalendar") {
        return Some(named("text/calendar", "iCalendar", &[], "T"));
    }
    if (begins(b"{") || begins(b"[")) && is_json(content) {
        return Some(named("application/json", "JSON data", &[], "T"));
    }
    if is_mail(body) {
        if begins(b"from ") && is_mbox(content) {
            return Some(named("application/mbox", "Mailbox of several messages", &["mbox", "mbx", "mbs", "txt"], "M"));
        }
        return Some(named("message/rfc822", "E-mail message", &["eml", "mht", "mhtml", "mbox", "txt"], "M"));
    }
    let (mime, description) = source(&lower)?;
    Some(named(mime, description, &[], "T"))
}

/// Whether there is a second message: a line `From …` behind an empty one (RFC 4155).
fn is_mbox(content: &[u8]) -> bool {
    let rest = content.get(5..).unwrap_or_default();
    memchr::memmem::find(rest, b"\n\nFrom ").is_some() || memchr::memmem::find(rest, b"\r\n\r\nFrom ").is_some()
}

/// Source code and tables, by how their first lines look. Takes lower case.
fn source(lower: &[u8]) -> Option<(&'static str, &'static str)> {
    let has = |what: &[u8]| memchr::memmem::find(lower, what).is_some();
    let count = |words: &[&[u8]]| words.iter().filter(|word| has(word)).count();
    let begins = |words: &[&[u8]]| words.iter().any(|word| lower.starts_with(word));
    let cmdlets: &[&[u8]] = &[
        b"write-host",
        b"get-",
        b"set-",
        b"new-object",
        b"param(",
        b"param (",
        b"$env:",
        b"import-module",
        b"invoke-",
        b"-erroraction",
        b"$psscriptroot",
        b"cmdletbinding",
    ];
    if begins(&[b"#requires -", b"[cmdletbinding"]) || count(cmdlets) >= 3 && has(b"$") {
        return Some(("text/x-powershell", "PowerShell script"));
    }
    let basic: &[&[u8]] = &[b"option explicit", b"on error resume next", b"createobject(", b"wscript.", b"\ndim ", b"\nset ", b"end sub", b"end if"];
    if begins(&[b"option explicit"]) || count(basic) >= 3 {
        return Some(("text/vbscript", "VBScript"));
    }
    if begins(&[b"import ", b"from ", b"\"\"\"", b"# -*- coding"])
        && count(&[b"\nimport ", b"\nfrom ", b"\ndef ", b"\nclass ", b"__future__", b"import "]) >= 2
    {
        return Some(("text/x-python", "Python script"));
    }
    if begins(&[b"\"use strict\"", b"'use strict'"])
        || count(&[b"function(", b"function ", b"var ", b"const ", b"=> {", b"require(", b"module.exports", b"document."]) >= 3 && has(b";")
    {
        return Some(("text/javascript", "JavaScript source"));
    }
    is_csv(lower).then_some(("text/csv", "Comma-separated values"))
}

/// Several lines with the same number (at least two) of commas, semicolons or tabs.
fn is_csv(text: &[u8]) -> bool {
    // The last line may be cut.
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').take(6).collect();
    let Some(complete) = lines.len().checked_sub(1).and_then(|n| lines.get(..n)).filter(|complete| complete.len() >= 2) else { return false };
    [b',', b';', b'\t'].iter().any(|separator| {
        let fields = |line: &&[u8]| {
            let mut quoted = false;
            line.iter()
                .filter(|b| {
                    quoted ^= **b == b'"';
                    !quoted && **b == *separator
                })
                .count()
        };
        let first = complete.first().map_or(0, fields);
        first >= 2 && complete.iter().all(|line| fields(line) == first)
    })
}

/// A block of header fields (RFC 5322, §2.2), two of which are those of mails. Mail programs ask for no more.
fn is_mail(body: &[u8]) -> bool {
    const FIELDS: &[&[u8]] = &[
        b"from",
        b"to",
        b"subject",
        b"date",
        b"message-id",
        b"mime-version",
        b"content-type",
        b"content-transfer-encoding",
        b"received",
        b"return-path",
        b"delivered-to",
    ];
    let mut known = 0;
    for (number, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let is_envelope = number == 0 && line.starts_with(b"From ");
        if is_envelope || (number > 0 && line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'))) {
            continue;
        }
        let Some(colon) = memchr::memchr(b':', line) else { break };
        let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            break;
        }
        known += usize::from(FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field)));
        if known == 2 {
            return true;
        }
    }
    false
}

/// Small ones are parsed; of large ones only the brackets at both ends are looked at.
fn is_json(content: &[u8]) -> bool {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii();
    if content.len() <= 4 * PROBE {
        return serde_json::from_slice::<serde::de::IgnoredAny>(content).is_ok();
    }
    matches!((content.first(), content.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
}

#[cfg(test)]
mod tests {
    use crate::filetype::detect;

    #[test]
    fn kinds_of_text() {
        let cases: &[(&[u8], &str, &str)] = &[
            (b"hello\nworld\n", "text/plain", "ASCII text"),
            ("grüße".as_bytes(), "text/plain", "UTF-8 Unicode text"),
            (b"gr\xfc\xdfe aus Bern", "text/plain", "Non-ISO extended-ASCII text"),
            (b"\xff\xfeh\0i\0", "text/plain", "UTF-16 Unicode text"),
            (b"<!DOCTYPE html><html></html>", "text/html", ""),
            (b"{\"a\": [1, 2]}", "application/json", "JSON data"),
            (b"{not json", "text/plain", "ASCII text"),
            (b"<?xml version=\"1.0\"?><a/>", "application/xml", ""),
            (b"#!/usr/bin/env python3\nprint()\n", "text/x-python", ""),
            (b"#!/bin/sh\necho\n", "text/x-shellscript", ""),
            (b"From: a@b\r\nTo: c@d\r\n\r\nx", "message/rfc822", ""),
            (b"X-Seen: 1\r\nDKIM-Signature: a;\r\n b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related\r\n", "message/rfc822", ""),
            (b"From: here\nthis is: no mail\nsubject: x", "text/plain", ""),
            (b"From a@b Mon\nFrom: a@b\nTo: c@d\n\nx\n\nFrom a@b Mon\nFrom: a@b\n", "application/mbox", ""),
            (b"From a@b Mon\nFrom: a@b\nTo: c@d\n\nx\n", "message/rfc822", ""),
            (b"@ECHO OFF\r\ndir\r\n", "text/x-msdos-batch", ""),
            (b"param(\n[string]$x\n)\nWrite-Host $x\nGet-Item $x\n", "text/x-powershell", ""),
            (b"Option Explicit\r\nDim x\r\n", "text/vbscript", ""),
            (b"import os\nimport sys\n\ndef main():\n", "text/x-python", ""),
            (b"'use strict';\nvar a = 1;\n", "text/javascript", ""),
            (b"<html><head><HTA:APPLICATION id=x></head></html>", "application/hta", ""),
            (b"a,b,c\n1,2,3\n\"x,y\",5,6\n", "text/csv", ""),
            (b"One, two, three.\nAnd so on\n", "text/plain", ""),
            (b"BEGIN:VCARD\nVERSION:4.0\n", "text/vcard", ""),
            (b"BEGIN:VCALENDAR\n", "text/calendar", ""),
            (b"[InternetShortcut]\r\nURL=http://x/\r\n", "application/x-mswinurl", ""),
            (b"Windows Registry Editor Version 5.00\r\n", "text/x-ms-regedit", ""),
            (b"{\\rtf1 x}", "application/rtf", ""),
        ];
        for (content, mime, description) in cases {
            let found = detect(content);
            assert_eq!(found.mime, *mime, "{}", String::from_utf8_lossy(content));
            assert!(description.is_empty() || found.description == *description, "{found:?}");
        }
    }
}
