// webshells
