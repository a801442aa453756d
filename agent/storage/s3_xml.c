/* The answers of an S3 store; see s3_xml.h. */
#include "agent/storage/s3_xml.h"

#include <expat.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ELEMENT_MAX 64u /* of an element */

struct reader {
    XML_Parser parser;
    bool (*visit)(void *context, const char *path, const char *text);
    void *context;
    bool failed;
    unsigned depth;
    size_t ends[S3_XML_DEPTH_MAX]; /* of the path, by depth */
    char path[S3_XML_DEPTH_MAX * ELEMENT_MAX];
    size_t used;
    char text[S3_XML_TEXT_MAX];
};

static void stop(struct reader *r)
{
    r->failed = true;
    XML_StopParser(r->parser, XML_FALSE);
}

static const char *local_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static void on_start(void *context, const char *name, const char **attributes)
{
    struct reader *r = context;
    (void)attributes;
    name = local_name(name);
    if (r->depth == S3_XML_DEPTH_MAX || !*name || strlen(name) >= ELEMENT_MAX - 1) {
        stop(r);
        return;
    }
    size_t at = r->depth ? r->ends[r->depth - 1] : 0;
    r->ends[r->depth] =
        at + (size_t)snprintf(r->path + at, sizeof r->path - at, "%s%s", at ? "/" : "", name);
    r->depth++;
    r->used = 0;
}

static void on_text(void *context, const char *text, int size)
{
    struct reader *r = context;
    if (r->used + (size_t)size >= sizeof r->text) {
        stop(r);
        return;
    }
    memcpy(r->text + r->used, text, (size_t)size);
    r->used += (size_t)size;
}

static void on_end(void *context, const char *name)
{
    struct reader *r = context;
    (void)name;
    if (r->failed)
        return;
    const char *text = r->text;
    r->text[r->used] = '\0';
    while (*text && strchr(" \t\r\n", *text))
        text++;
    for (size_t n = strlen(text); n && strchr(" \t\r\n", text[n - 1]); n--)
        r->text[text - r->text + (ptrdiff_t)n - 1] = '\0';
    r->path[r->ends[r->depth - 1]] = '\0';
    if (!r->visit(r->context, r->path, text))
        stop(r);
    r->depth--;
    r->used = 0;
}

static void on_doctype(void *context, const char *name, const char *system, const char *public,
                       int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    stop(context);
}

bool s3_xml_read(const char *text, size_t size,
                 bool (*visit)(void *context, const char *path, const char *text), void *context)
{
    struct reader *r = size <= INT_MAX ? calloc(1, sizeof *r) : NULL;
    if (!r)
        return false;
    r->visit = visit;
    r->context = context;
    r->parser = XML_ParserCreate(NULL);
    bool ok = r->parser != NULL;
    if (ok) {
        XML_SetUserData(r->parser, r);
        XML_SetElementHandler(r->parser, on_start, on_end);
        XML_SetCharacterDataHandler(r->parser, on_text);
        XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
        ok = XML_Parse(r->parser, text, (int)size, XML_TRUE) == XML_STATUS_OK && !r->failed;
        XML_ParserFree(r->parser);
    }
    free(r);
    return ok;
}

struct error_reader {
    char *code, *message;
    size_t code_size, message_size;
};

static bool take_error(void *context, const char *path, const char *text)
{
    struct error_reader *e = context;
    if (!strcmp(path, "Error/Code"))
        snprintf(e->code, e->code_size, "%s", text);
    else if (!strcmp(path, "Error/Message"))
        snprintf(e->message, e->message_size, "%s", text);
    return true;
}

void s3_xml_error(const char *text, size_t size, char *code, size_t code_size, char *message,
                  size_t message_size)
{
    struct error_reader e = {code, message, code_size, message_size};
    *code = *message = '\0';
    if (text && memmem(text, size, "<Error", 6))
        s3_xml_read(text, size, take_error, &e);
}
