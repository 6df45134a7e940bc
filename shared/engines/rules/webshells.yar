// Web shells.

rule PHP_Eval_Of_Request {
    meta:
        description = "PHP that runs what the request contains"
        severity = "malicious"
        threat = "Webshell.PHP.Eval"
    strings:
        $php = "<?"
        $a = /\b(eval|assert|system|exec|shell_exec|passthru|popen|proc_open|create_function)\s*\(\s*(@|\(|trim\(|stripslashes\(|base64_decode\s*\(|gzinflate\s*\(|str_rot13\s*\(){0,4}\s*\$_(GET|POST|REQUEST|COOKIE|SERVER\[.HTTP_)/ nocase
        $b = /\$_(GET|POST|REQUEST|COOKIE)\s*\[[^\]]{1,40}\]\s*\(\s*\$_(GET|POST|REQUEST|COOKIE)/ nocase
        $c = /`\s*\{?\$_(GET|POST|REQUEST)\[/ nocase
    condition:
        filesize < 2MB and $php and any of ($a, $b, $c)
}

rule PHP_Packed_Eval {
    meta:
        description = "PHP that runs code it first unpacks"
        severity = "suspicious"
        threat = "Webshell.PHP.Packed"
    strings:
        $php = "<?php" nocase
        $a = /eval\s*\(\s*(gzinflate|gzuncompress|str_rot13|base64_decode|strrev)\s*\(\s*(gzinflate|gzuncompress|str_rot13|base64_decode|strrev)?\s*\(?\s*["'][A-Za-z0-9+\/=\\x]{200}/ nocase
        $b = /preg_replace\s*\(\s*["']\/\.\*\/e["']/ nocase
    condition:
        filesize < 5MB and $php and any of ($a, $b)
}

rule JSP_Command_Shell {
    meta:
        description = "JSP that runs commands out of the request"
        severity = "malicious"
        threat = "Webshell.JSP"
    strings:
        $jsp = "<%"
        $a = /getRuntime\s*\(\s*\)\s*\.\s*exec\s*\(\s*(new\s+String\[\][^\r\n]{0,80})?request\s*\.\s*getParameter/ nocase
        $exec = /(getRuntime\s*\(\s*\)\s*\.\s*exec|new\s+ProcessBuilder)\s*\(\s*(cmd|command|c|s)\b/ nocase
        $param = /(cmd|command)\s*=\s*request\.getParameter\s*\(/ nocase
        $define = "defineClass" nocase
        $aes = /new\s+SecretKeySpec\([^\r\n]{0,80}AES/ nocase
        $reader = "request.getReader().readLine()" nocase
    condition:
        filesize < 1MB and $jsp and ($a or ($exec and $param) or ($define and $aes and $reader))
}

rule ASPX_Command_Shell {
    meta:
        description = "ASP page that runs what the request contains"
        severity = "malicious"
        threat = "Webshell.ASP"
    strings:
        $page = "<%"
        $a = /\beval\s*\(?\s*Request(\.Item|\.Form|\.QueryString)?\s*[\[\(]\s*["'][^"']{1,40}["']\s*[\]\)]/ nocase
        $b = /execute\s*\(?\s*request\s*\(/ nocase
        $c = /Process\.Start\s*\(\s*["']?(cmd|powershell)/ nocase
        $d = /FileName\s*=\s*["'](cmd|powershell)(\.exe)?["']/ nocase
        $e = /Request(\.Form|\.QueryString)?\[/ nocase
    condition:
        filesize < 1MB and $page and ($a or $b or (($c or $d) and $e))
}
