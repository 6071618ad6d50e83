"""What a build's test and coverage files say.

`model` says what a report is, `formats` and `coverage` turn one file's bytes into cases or covered files, `sniff`
recognises a file nobody declared. All of it is pure: whoever runs the build finds the files, reads them, and asks.

    for each file that matched:  parse_tests(format, data, path)  or  parse_coverage(format, data, path)
                                 Invalid: keep its text as a problem of the report, and go on
    at the end:                  make_report(group, format, created=…, cases=…, coverage=…, problems=…)

A report never decides how a build ends.
"""
