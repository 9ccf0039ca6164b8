/* Locales, wide characters, conversions, time zones, numbers, sorting, and streams. */
#define _GNU_SOURCE
#include <iconv.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(void)
{
    printf("%s\n", setlocale(LC_ALL, "C.UTF-8"));
    printf("%s\n", nl_langinfo(CODESET));
    wchar_t wide[16];
    size_t length = mbstowcs(wide, "stra\xc3\x9f" "e \xe2\x82\xac", 16);
    printf("%zu %x %d\n", length, (unsigned)wide[7], iswalpha(wide[4]) != 0);
    printf("%ls\n", wide);
    locale_t locale = newlocale(LC_ALL_MASK, "C", 0);
    printf("%d\n", locale != 0 && uselocale(locale) != 0);
    char from[] = "\xe4\xf6\xfc", to[16] = "", *in = from, *out = to;
    size_t in_left = 3, out_left = sizeof to;
    iconv_t conversion = iconv_open("UTF-8", "ISO-8859-1");
    printf("%zu %s\n", iconv(conversion, &in, &in_left, &out, &out_left), to);
    iconv_close(conversion);
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    time_t then = 1700000000;
    char text[64];
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z", localtime(&then));
    printf("%s %.10g %a %Lg\n", text, sqrt(2), 0.1, strtold("1e400", 0));
    char *words[] = { "pear", "apple", "fig", "banana" };
    qsort(words, 4, sizeof *words, compare);
    printf("%s %s %s %s\n", words[0], words[1], words[2], words[3]);
    regex_t pattern;
    regmatch_t match[2];
    regcomp(&pattern, "b(an+)a", REG_EXTENDED);
    printf("%d", regexec(&pattern, "banana", 2, match, 0));
    printf(" %d\n", (int)match[1].rm_eo);
    regfree(&pattern);
    FILE *file = tmpfile();
    fprintf(file, "%s %d\n", "line", 12);
    rewind(file);
    int number = 0;
    char word[8] = "";
    printf("%d", fscanf(file, "%7s %d", word, &number));
    printf(" %s %d\n", word, number);
    char *memory;
    size_t size;
    FILE *stream = open_memstream(&memory, &size);
    fputs("in memory", stream);
    fclose(stream);
    puts(memory);
    free(memory);
    return 0;
}
