/*
 * How fast can this machine read, check and compress these tablespaces at all: threads that take
 * the files in pieces of 1 MiB, verify each page's CRC-32C, compress with zstd and hash as much as
 * a backup does (XXH3 of what goes in, SHA-256 of what comes out), and write nothing or to one file
 * a thread. What a backup takes is compared with it.
 *
 *     limit [-t THREADS] [-l LEVEL] [-v] [-h] [-d] [-o DIRECTORY] FILE...
 *         -v: verify pages   -h: hash   -d: O_DIRECT   -o: write what comes out (and fsync it)
 *
 * Prints: seconds, bytes in, bytes out, CPU seconds.
 */
#include "common/page.h"
#include "common/space.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

#define PIECE       (1u << 20)
#define THREADS_MAX 64

struct file {
    const char *path;
    int fd;
    uint64_t size;
    struct space_info info;
};

static struct {
    struct file *files;
    int count, level;
    bool verify, hash, direct;
    const char *out;
    pthread_mutex_t mutex;
    int file;
    uint64_t offset, bytes_in, bytes_out;
} job = {.level = 1, .mutex = PTHREAD_MUTEX_INITIALIZER};

static void die(const char *what)
{
    fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct file *take(uint64_t *offset)
{
    struct file *f = NULL;
    pthread_mutex_lock(&job.mutex);
    while (job.file < job.count && job.offset >= job.files[job.file].size) {
        job.file++;
        job.offset = 0;
    }
    if (job.file < job.count) {
        f = &job.files[job.file];
        *offset = job.offset;
        job.offset += PIECE;
    }
    pthread_mutex_unlock(&job.mutex);
    return f;
}

static void check_pages(const struct file *f, uint64_t offset, const uint8_t *data, size_t size)
{
    uint32_t page_size = f->info.format.page_size; /* 0: its first page was not written yet */
    for (size_t at = 0; page_size && at + page_size <= size; at += page_size)
        if (page_verify(&f->info.format, (uint32_t)((offset + at) / page_size), data + at) ==
            PAGE_CORRUPT)
            fprintf(stderr, "limit: %s: page at %" PRIu64 " is corrupt\n", f->path, offset + at);
}

static void *run(void *argument)
{
    char path[4096];
    uint8_t *in, *out = malloc(ZSTD_compressBound(PIECE));
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    uint64_t bytes_in = 0, bytes_out = 0, offset;
    volatile uint64_t sink = 0;
    int to = -1;
    if (posix_memalign((void **)&in, 4096, PIECE) || !out || !zstd || !sha)
        die("memory");
    EVP_DigestInit_ex(sha, EVP_sha256(), NULL);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, job.level);
    if (job.out) {
        snprintf(path, sizeof path, "%s/limit.%zu", job.out, (size_t)argument);
        if ((to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600)) < 0)
            die(path);
    }
    for (struct file *f; (f = take(&offset));) {
        ssize_t n = pread(f->fd, in, PIECE, (off_t)offset);
        if (n < 0)
            die(f->path);
        if (job.verify)
            check_pages(f, offset, in, (size_t)n);
        size_t stored = ZSTD_compress2(zstd, out, ZSTD_compressBound(PIECE), in, (size_t)n);
        if (ZSTD_isError(stored))
            die("zstd");
        if (job.hash) {
            sink += XXH3_128bits(in, (size_t)n).low64;
            EVP_DigestUpdate(sha, out, stored);
        }
        if (to >= 0 && write(to, out, stored) != (ssize_t)stored)
            die(path);
        bytes_in += (uint64_t)n;
        bytes_out += stored;
    }
    if (to >= 0 && (fsync(to) || close(to)))
        die(path);
    pthread_mutex_lock(&job.mutex);
    job.bytes_in += bytes_in;
    job.bytes_out += bytes_out;
    pthread_mutex_unlock(&job.mutex);
    ZSTD_freeCCtx(zstd);
    EVP_MD_CTX_free(sha);
    free(in);
    free(out);
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = 2, c;
    while ((c = getopt(argc, argv, "t:l:vhdo:")) != -1)
        switch (c) {
        case 't':
            threads = atoi(optarg);
            break;
        case 'l':
            job.level = atoi(optarg);
            break;
        case 'v':
            job.verify = true;
            break;
        case 'h':
            job.hash = true;
            break;
        case 'd':
            job.direct = true;
            break;
        case 'o':
            job.out = optarg;
            break;
        default:
            return 2;
        }
    if (threads < 1 || threads > THREADS_MAX)
        return 2;
    job.count = argc - optind;
    job.files = calloc((size_t)job.count + 1, sizeof *job.files);
    for (int i = 0; i < job.count; i++) {
        struct file *f = &job.files[i];
        static uint8_t head[SPACE_PAGE_SIZE_MAX];
        struct gb_error error = {0};
        struct stat st;
        bool zero;
        f->path = argv[optind + i];
        int plain = open(f->path, O_RDONLY);
        f->fd = open(f->path, O_RDONLY | (job.direct ? O_DIRECT : 0));
        if (plain < 0 || f->fd < 0 || fstat(f->fd, &st) ||
            pread(plain, head, sizeof head, 0) < 1024)
            die(f->path);
        f->size = (uint64_t)st.st_size;
        if (job.verify && !space_parse(head, sizeof head, &f->info, &zero, &error) && !zero) {
            fprintf(stderr, "limit: %s: %s\n", f->path, error.what);
            return 1;
        }
        close(plain);
    }
    pthread_t thread[THREADS_MAX];
    double begin = seconds(CLOCK_MONOTONIC);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, run, (void *)(size_t)i))
            die("thread");
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    printf("%.3f %" PRIu64 " %" PRIu64 " %.3f\n", seconds(CLOCK_MONOTONIC) - begin, job.bytes_in,
           job.bytes_out, seconds(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
}
