/* One HTTP request and its answer; see http.h. */
#include "agent/http/http.h"
#include "common/clock.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define IDLE_MAX          64u
#define CONNECT_LIMIT_S   20u /* at most: nobody needs longer who has something to say */
#define PAUSE_FIRST_MS    200u
#define PAUSE_MAX_MS      10000u
#define RETRY_AFTER_MAX_S 30u /* what a server may ask for */

struct direction {    /* bytes one way, of all connections: they share one line */
    uint64_t turn_us; /* monotonic: when the next may go */
};

struct http {
    char *ca_file, *client_certificate, *client_key; /* NULL: none */
    unsigned limit_s;
    uint64_t rate_limit;
    uint64_t *moved;
    pthread_mutex_t mutex; /* idle, directions */
    struct direction up, down;
    CURL *idle[IDLE_MAX];
    unsigned idle_count;
};

struct http_headers {
    struct curl_slist *list;
    bool no_memory;
};

struct transfer { /* one try */
    struct http *http;
    CURL *curl;
    const struct http_request *request;
    struct http_response *response;
    size_t sent, headers_size;
    curl_off_t seen;
    uint64_t moved_ms; /* monotonic: when bytes moved last */
    bool too_long, no_memory, silent;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool usable;

static void start_curl(void)
{
    usable = !curl_global_init(CURL_GLOBAL_ALL);
}

/* NULL for none; *ok: it can be read, and there was memory. */
static char *named_file(const char *key, const char *path, bool *ok, struct gb_error *error)
{
    if (!*ok || !path || !*path)
        return NULL;
    if (access(path, R_OK)) {
        *ok = error_set_errno(error, GB_bad_config, errno, "%s = %s can't be read", key, path);
        return NULL;
    }
    char *copy = strdup(path);
    if (!copy)
        *ok = error_set(error, GB_internal, "no memory for HTTP");
    return copy;
}

struct http *http_open(const struct http_options *o, uint64_t *moved, struct gb_error *error)
{
    pthread_once(&once, start_curl);
    struct http *h = usable ? calloc(1, sizeof *h) : NULL;
    if (!h) {
        error_set(error, GB_internal, "no memory for HTTP");
        return NULL;
    }
    bool ok = true;
    h->ca_file = named_file("ca-file", o->ca_file, &ok, error);
    h->client_certificate = named_file("client-certificate", o->client_certificate, &ok, error);
    h->client_key = named_file("client-key", o->client_key, &ok, error);
    h->limit_s = o->limit_s;
    h->rate_limit = o->rate_limit;
    h->moved = moved;
    pthread_mutex_init(&h->mutex, NULL);
    if (ok)
        return h;
    http_close(h);
    return NULL;
}

void http_close(struct http *h)
{
    if (!h)
        return;
    for (unsigned i = 0; i < h->idle_count; i++)
        curl_easy_cleanup(h->idle[i]);
    pthread_mutex_destroy(&h->mutex);
    free(h->ca_file);
    free(h->client_certificate);
    free(h->client_key);
    free(h);
}

static CURL *take_handle(struct http *h)
{
    pthread_mutex_lock(&h->mutex);
    CURL *curl = h->idle_count ? h->idle[--h->idle_count] : NULL;
    pthread_mutex_unlock(&h->mutex);
    if (curl)
        curl_easy_reset(curl); /* keeps the connection */
    return curl ? curl : curl_easy_init();
}

static void give_handle(struct http *h, CURL *curl)
{
    pthread_mutex_lock(&h->mutex);
    bool keep = h->idle_count < IDLE_MAX;
    if (keep)
        h->idle[h->idle_count++] = curl;
    pthread_mutex_unlock(&h->mutex);
    if (!keep)
        curl_easy_cleanup(curl);
}

void http_add_header(struct http_headers *headers, const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 3;
    char *line = malloc(size);
    struct curl_slist *more = NULL;
    if (line) {
        snprintf(line, size, "%s: %s", name, value);
        more = curl_slist_append(headers->list, line);
    }
    free(line);
    if (more)
        headers->list = more;
    else
        headers->no_memory = true;
}

void http_response_free(struct http_response *r)
{
    free(r->text);
    free(r->headers);
    memset(r, 0, sizeof *r);
}

const char *http_header(const struct http_response *r, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);
    *out = '\0';
    for (const char *line = r->headers; line && *line;) {
        const char *end = strchr(line, '\n');
        size_t length = end ? (size_t)(end - line) : strlen(line);
        if (length > n && !strncasecmp(line, name, n) && line[n] == ':') {
            const char *value = line + n + 1, *stop = line + length;
            while (value < stop && (*value == ' ' || *value == '\t'))
                value++;
            while (stop > value && (stop[-1] == '\r' || stop[-1] == ' ' || stop[-1] == '\t'))
                stop--;
            snprintf(out, size, "%.*s", (int)(stop - value), value);
            return out;
        }
        line = end ? end + 1 : NULL;
    }
    return out;
}

enum http_verdict http_judge_status(const struct http_response *r)
{
    switch (r->status) {
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return HTTP_AGAIN;
    default:
        return HTTP_TAKE;
    }
}

/* ---- what curl calls ---- */

/* The bandwidth limit: waits until it is the turn of so many bytes. */
static void wait_for_turn(struct http *h, struct direction *way, size_t bytes)
{
    if (!h->rate_limit)
        return;
    uint64_t now = now_us();
    pthread_mutex_lock(&h->mutex);
    uint64_t turn = way->turn_us > now ? way->turn_us : now;
    way->turn_us = turn + (uint64_t)((double)bytes * 1e6 / (double)h->rate_limit);
    pthread_mutex_unlock(&h->mutex);
    struct timespec t = {(time_t)(turn / 1000000), (long)(turn % 1000000) * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static size_t on_header(char *data, size_t one, size_t count, void *context)
{
    struct transfer *t = context;
    size_t size = one * count;
    if (size >= 5 && !memcmp(data, "HTTP/", 5))
        t->headers_size = 0; /* what came before was of an answer on the way, as 100 is */
    if (t->headers_size + size > HTTP_HEADERS_MAX) {
        t->too_long = true;
        return 0;
    }
    char *more = realloc(t->response->headers, t->headers_size + size + 1);
    if (!more) {
        t->no_memory = true;
        return 0;
    }
    memcpy(more + t->headers_size, data, size);
    t->headers_size += size;
    more[t->headers_size] = '\0';
    t->response->headers = more;
    return size;
}

static size_t on_body(char *data, size_t one, size_t count, void *context)
{
    struct transfer *t = context;
    struct http_response *r = t->response;
    size_t size = one * count;
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    bool into = t->request->into && status >= 200 && status < 300;
    size_t room = into ? t->request->into_size : HTTP_TEXT_MAX;
    if (size > room - r->size) {
        t->too_long = true;
        return 0;
    }
    wait_for_turn(t->http, &t->http->down, size);
    if (into) {
        memcpy((char *)t->request->into + r->size, data, size);
    } else {
        char *more = realloc(r->text, r->size + size + 1);
        if (!more) {
            t->no_memory = true;
            return 0;
        }
        memcpy(more + r->size, data, size);
        more[r->size + size] = '\0';
        r->text = more;
    }
    r->size += size;
    return size;
}

static size_t on_send(char *data, size_t one, size_t count, void *context)
{
    struct transfer *t = context;
    size_t left = t->request->body_size - t->sent, size = one * count < left ? one * count : left;
    wait_for_turn(t->http, &t->http->up, size);
    if (size)
        memcpy(data, (const char *)t->request->body + t->sent, size);
    t->sent += size;
    return size;
}

static int on_seek(void *context, curl_off_t offset, int origin)
{
    struct transfer *t = context;
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > t->request->body_size)
        return CURL_SEEKFUNC_FAIL;
    t->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* Called about once a second at least, also while nothing moves: curl's own limit (LOW_SPEED_TIME)
   looks at the average of some seconds and comes late. */
static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct transfer *t = context;
    (void)down_total;
    (void)up_total;
    if (down + up != t->seen) {
        __atomic_fetch_add(t->http->moved, 1, __ATOMIC_RELAXED);
        t->moved_ms = now_us() / 1000;
    }
    t->seen = down + up;
    t->silent = now_us() / 1000 - t->moved_ms >= (uint64_t)t->http->limit_s * 1000;
    return t->silent;
}

/* ---- one try ---- */

static void set_method(const struct transfer *t)
{
    const struct http_request *q = t->request;
    if (!strcmp(q->method, "HEAD")) {
        curl_easy_setopt(t->curl, CURLOPT_NOBODY, 1L);
    } else if (!strcmp(q->method, "PUT") || !strcmp(q->method, "POST")) {
        curl_easy_setopt(t->curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, q->method);
        curl_easy_setopt(t->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body_size);
        curl_easy_setopt(t->curl, CURLOPT_READFUNCTION, on_send);
        curl_easy_setopt(t->curl, CURLOPT_READDATA, t);
        curl_easy_setopt(t->curl, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(t->curl, CURLOPT_SEEKDATA, t);
    } else {
        curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, q->method);
    }
}

static unsigned connect_limit_s(const struct http *h)
{
    return h->limit_s < CONNECT_LIMIT_S ? h->limit_s : CONNECT_LIMIT_S;
}

static bool is_connected(CURL *curl)
{
    curl_off_t us = 0;
    return !curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME_T, &us) && us;
}

static void set_limits(const struct transfer *t)
{
    const struct http *h = t->http;
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT, (long)connect_limit_s(h));
    curl_easy_setopt(t->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(t->curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(t->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (h->client_certificate) {
        curl_easy_setopt(t->curl, CURLOPT_SSLCERT, h->client_certificate);
        curl_easy_setopt(t->curl, CURLOPT_SSLKEY,
                         h->client_key ? h->client_key : h->client_certificate);
    }
    if (h->ca_file) {
        curl_easy_setopt(t->curl, CURLOPT_CAINFO, h->ca_file);
        curl_easy_setopt(t->curl, CURLOPT_CAPATH, NULL);
    }
}

/* A TLS library may write to a connection that the store has closed, and a command's process must
 * not end by that. */
static CURLcode perform(CURL *curl)
{
    const struct timespec now = {0};
    sigset_t pipe, before;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    CURLcode code = curl_easy_perform(curl);
    if (!sigismember(&before, SIGPIPE))
        while (sigtimedwait(&pipe, NULL, &now) >= 0)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static CURLcode try_once(struct http *h, const struct http_request *q, struct http_response *r,
                         char *why, bool *too_long)
{
    struct transfer t = {.http = h,
                         .request = q,
                         .response = r,
                         .curl = take_handle(h),
                         .moved_ms = now_us() / 1000};
    struct http_headers headers = {0};
    CURLcode code = CURLE_OUT_OF_MEMORY;
    long status = 0;
    http_response_free(r);
    if (t.curl && q->sign(q->context, &headers) && !headers.no_memory) {
        set_method(&t);
        set_limits(&t);
        curl_easy_setopt(t.curl, CURLOPT_URL, q->url);
        curl_easy_setopt(t.curl, CURLOPT_HTTPHEADER, headers.list);
        curl_easy_setopt(t.curl, CURLOPT_ERRORBUFFER, why);
        curl_easy_setopt(t.curl, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(t.curl, CURLOPT_HEADERDATA, &t);
        curl_easy_setopt(t.curl, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(t.curl, CURLOPT_WRITEDATA, &t);
        curl_easy_setopt(t.curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(t.curl, CURLOPT_XFERINFODATA, &t);
        curl_easy_setopt(t.curl, CURLOPT_NOPROGRESS, 0L);
        code = perform(t.curl);
        curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
    }
    curl_slist_free_all(headers.list);
    *too_long = t.too_long;
    if (t.no_memory)
        code = CURLE_OUT_OF_MEMORY;
    if (t.silent)
        code = CURLE_OPERATION_TIMEDOUT;
    if (code == CURLE_OPERATION_TIMEDOUT && is_connected(t.curl))
        snprintf(why, CURL_ERROR_SIZE, "no answer within %u s", h->limit_s);
    else if (code == CURLE_OPERATION_TIMEDOUT)
        snprintf(why, CURL_ERROR_SIZE, "no connection within %u s", connect_limit_s(h));
    if (code == CURLE_OK) {
        r->status = (int)status;
        curl_easy_setopt(t.curl, CURLOPT_ERRORBUFFER, NULL);
        give_handle(h, t.curl);
        __atomic_fetch_add(h->moved, 1, __ATOMIC_RELAXED);
    } else if (t.curl) {
        curl_easy_cleanup(t.curl); /* and the connection with it */
    }
    return code;
}

/* ---- and again ---- */

static bool worth_another(CURLcode code)
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_WRITE_ERROR:
        return false;
    default:
        return true;
    }
}

static bool set_failure(const struct http_request *q, const struct http_response *r, CURLcode code,
                        const char *why, bool too_long, struct gb_error *error)
{
    const char *text = *why ? why : curl_easy_strerror(code);
    char tries[32] = "";
    if (r->attempts > 1)
        snprintf(tries, sizeof tries, ", %u times", r->attempts);
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return error_set(error, GB_internal, "%s: no memory", q->name);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
        return error_set(error, GB_store_untrusted, "%s: %s", q->name, text);
    default:
        if (too_long)
            return error_set(error, GB_store_failed,
                             "%s: the answer is longer than what was asked for", q->name);
        return error_set(error, GB_store_unreachable, "%s: %s%s", q->name, text, tries);
    }
}

static void pause_before(unsigned attempt, const struct http_response *r)
{
    char after[32];
    unsigned char random = 0;
    unsigned ms = PAUSE_FIRST_MS << (attempt < 8 ? attempt - 1 : 7);
    if (ms > PAUSE_MAX_MS)
        ms = PAUSE_MAX_MS;
    if (RAND_bytes(&random, 1) == 1)
        ms = ms / 2 + ms * random / 510; /* not all at the same moment */
    unsigned long asked = strtoul(http_header(r, "Retry-After", after, sizeof after), NULL, 10);
    if (asked > RETRY_AFTER_MAX_S)
        asked = RETRY_AFTER_MAX_S;
    if (asked * 1000 > ms)
        ms = (unsigned)asked * 1000;
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

bool http_perform(struct http *h, const struct http_request *q, struct http_response *r,
                  struct gb_error *error)
{
    const unsigned most = q->attempts ? q->attempts : HTTP_ATTEMPTS;
    memset(r, 0, sizeof *r);
    for (unsigned attempt = 1, silent = 0;; attempt++) {
        char why[CURL_ERROR_SIZE] = "";
        bool too_long = false;
        CURLcode code = try_once(h, q, r, why, &too_long);
        r->attempts = attempt;
        silent += code == CURLE_OPERATION_TIMEDOUT;
        enum http_verdict verdict = HTTP_AGAIN;
        if (code == CURLE_OK) {
            verdict = q->judge(q->context, r);
            if (verdict == HTTP_TAKE || (attempt >= most && verdict != HTTP_AGAIN_ONCE))
                return true;
        } else if (!worth_another(code) || attempt >= most || silent >= HTTP_SILENT_TRIES) {
            return set_failure(q, r, code, why, too_long, error);
        }
        if (verdict == HTTP_AGAIN)
            pause_before(attempt, r);
    }
}
