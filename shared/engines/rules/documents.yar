// PDF, RTF, shortcuts and other carriers.

rule PDF_Launch_Program {
    meta:
        description = "PDF that starts a program"
        severity = "malicious"
        threat = "Exploit.PDF.Launch"
    strings:
        $launch = /\/S\s*\/Launch\b/
        $win = /\/Win\s*<<[^>]{0,400}\/F\s*\(?[^>]{0,300}(cmd|powershell|mshta|rundll32|wscript|cscript|\.exe)/ nocase
    condition:
        uint32(0) == 0x46445025 and all of them
}

rule PDF_Automatic_Shellcode_Script {
    meta:
        description = "PDF whose script runs on opening and prepares machine code"
        severity = "malicious"
        threat = "Exploit.PDF.Script"
    strings:
        $auto = /\/(OpenAction|AA)\b/
        $js = /\/(JavaScript|JS)\b/
        $a = "unescape(" nocase
        $b = /%u[0-9a-f]{4}%u[0-9a-f]{4}%u[0-9a-f]{4}/ nocase
        $c = "Collab.collectEmailInfo"
        $d = "util.printf(\"%45000f\""
        $e = "media.newPlayer"
        $f = "Collab.getIcon"
    condition:
        uint32(0) == 0x46445025 and $auto and $js and (($a and $b) or any of ($c, $d, $e, $f))
}

rule PDF_Automatic_Script {
    meta:
        description = "PDF with a script that runs on opening"
        severity = "informational"
    strings:
        $auto = /\/(OpenAction|AA)\b/
        $js = /\/(JavaScript|JS)\b/
    condition:
        uint32(0) == 0x46445025 and all of them
}

rule PDF_Embedded_Program_Opened {
    meta:
        description = "PDF that exports an attached program and opens it"
        severity = "suspicious"
        threat = "PDF.AttachedProgram"
    strings:
        $export = /exportDataObject\s*\(\s*\{[^}]{0,200}nLaunch\s*:\s*[12]/
        $file = /\/(F|UF)\s*\([^)]{1,100}\.(exe|js|vbs|hta|scr|bat|ps1|lnk|docm|xlsm|settingcontent-ms)\)/ nocase
    condition:
        uint32(0) == 0x46445025 and all of them
}

rule RTF_Equation_Editor {
    meta:
        description = "RTF with an object of the old equation editor (CVE-2017-11882, CVE-2018-0802)"
        severity = "malicious"
        threat = "Exploit.RTF.Equation"
    strings:
        $object = /\\obj(data|update|emb|autlink|class)/
        $name = /4[\s]{0,4}5[\s]{0,4}7[\s]{0,4}1[\s]{0,4}7[\s]{0,4}5[\s]{0,4}6[\s]{0,4}1[\s]{0,4}7[\s]{0,4}4[\s]{0,4}6[\s]{0,4}9[\s]{0,4}6[\s]{0,4}f[\s]{0,4}6[\s]{0,4}e[\s]{0,4}2[\s]{0,4}e[\s]{0,4}3[\s]{0,4}3/ nocase
        $clsid = /0[\s]{0,4}2[\s]{0,4}c[\s]{0,4}e[\s]{0,4}0[\s]{0,4}2[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}c[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}0[\s]{0,4}4[\s]{0,4}6/ nocase
        $plain = "Equation.3" nocase
    condition:
        uint32(0) & 0xFFFFFF == 0x725C7B and $object and ($name or $clsid or $plain)
}

rule RTF_Updating_Object {
    meta:
        description = "RTF with an object that loads itself when the document opens"
        severity = "suspicious"
        threat = "RTF.ObjUpdate"
    strings:
        $update = "\\objupdate"
        $auto = "\\objautlink"
        $data = "\\objdata"
        $link = /6[\s]{0,4}8[\s]{0,4}(00)?[\s]{0,4}7[\s]{0,4}4[\s]{0,4}(00)?[\s]{0,4}7[\s]{0,4}4[\s]{0,4}(00)?[\s]{0,4}7[\s]{0,4}0[\s]{0,4}(00)?[\s]{0,4}(73)?[\s]{0,4}(00)?[\s]{0,4}3a/ nocase
    condition:
        uint32(0) & 0xFFFFFF == 0x725C7B and $data and ($update or $auto) and $link
}

rule LNK_Runs_Interpreter {
    meta:
        description = "Shortcut that starts a command interpreter with a payload"
        severity = "suspicious"
        threat = "LNK.Runner"
    strings:
        $a = /(powershell|pwsh|mshta|rundll32|regsvr32|certutil|bitsadmin|wscript|cscript|forfiles|msiexec)/ nocase wide ascii
        $b = /(https?:\/\/|-enc|-e\s|-w(in)?[a-z]*\s+h|\/c\s|iex|frombase64|javascript:|downloadstring)/ nocase wide ascii
    condition:
        uint32(0) == 0x0000004C and uint32(4) == 0x00021401 and filesize < 2MB and all of them
}

rule SettingContent_Runs_Program {
    meta:
        description = "Settings shortcut that starts a program"
        severity = "suspicious"
        threat = "SettingContent.Runner"
    strings:
        $a = "<PCSettings>" nocase
        $b = /<DeepLink>[^<]{0,200}(cmd|powershell|mshta|rundll32|wscript)[^<]{0,500}<\/DeepLink>/ nocase
    condition:
        filesize < 200KB and all of them
}

rule URL_File_Remote_Program {
    meta:
        description = "Internet shortcut to a program on a file server"
        severity = "suspicious"
        threat = "URL.RemoteProgram"
    strings:
        $a = "[InternetShortcut]" nocase
        $b = /URL\s*=\s*(file:\/\/|\\\\)[^\r\n]{1,200}\.(exe|js|vbs|hta|cmd|bat|lnk|url|zip|scr|ps1|cpl)/ nocase
    condition:
        filesize < 50KB and all of them
}

rule SVG_With_Redirecting_Script {
    meta:
        description = "SVG whose script decodes and opens an address"
        severity = "suspicious"
        threat = "SVG.Script"
    strings:
        $svg = "<svg" nocase
        $script = "<script" nocase
        $decode = /(atob\s*\(|fromCharCode|unescape\s*\(|decodeURIComponent\s*\(\s*escape)/ nocase
        $go = /(window|document|top|parent|self)?\.?location(\.href)?\s*(=|\.replace|\.assign)/ nocase
    condition:
        filesize < 5MB and $svg in (0..4096) and $script and $decode and $go
}
