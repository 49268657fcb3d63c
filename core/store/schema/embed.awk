# Turns the migrations (schema/<store>/NNNN_name.sql, given in order) into C: one array of struct migration per store.
BEGIN {
    print "/* Made by schema/embed.awk. */"
    print "#include \"config.h\"\n"
    print "#include \"store/driver.h\""
}

FNR == 1 {
    finish_file()
    parts = split(FILENAME, path, "/")
    store = path[parts - 1]
    name = path[parts]
    sub(/\.sql$/, "", name)
    if (store != current) {
        finish_store()
        current = store
        count = 0
    }
    count++
    if (name + 0 != count) {
        print "embed.awk: migrations of " store " are not numbered from 1 without gaps: " name > "/dev/stderr"
        failed = 1
        exit 1
    }
    rows = rows "    { " count ", \"" name "\", " store "_" count " },\n"
    print "\nstatic const char " store "_" count "[] ="
    open = 1
}

{
    line = $0
    gsub(/\\/, "\\\\", line)
    gsub(/"/, "\\\"", line)
    print "    \"" line "\\n\""
}

END {
    if (failed)
        exit 1
    finish_file()
    finish_store()
}

function finish_file() {
    if (open)
        print "    ;"
    open = 0
}

function finish_store() {
    if (current == "")
        return
    print "\nconst struct migration " current "_migrations[] = {\n" rows "};"
    print "const size_t " current "_migration_count = " count ";"
    rows = ""
}
