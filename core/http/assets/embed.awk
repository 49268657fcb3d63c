# Turns the cashier's style sheet and script into C: one struct embedded per file, which ends with one without a name.
BEGIN {
    print "/* Made by assets/embed.awk. */"
    print "#include \"config.h\"\n"
    print "#include \"http/assets.h\"\n"
    print "const struct embedded embedded_assets[] = {"
}

FNR == 1 {
    finish_file()
    parts = split(FILENAME, path, "/")
    print "    { \"" path[parts] "\","
    open = 1
}

{
    line = $0
    gsub(/\\/, "\\\\", line)
    gsub(/"/, "\\\"", line)
    print "      \"" line "\\n\""
}

END {
    finish_file()
    print "    { 0 },"
    print "};"
}

function finish_file() {
    if (open)
        print "    },"
    open = 0
}
