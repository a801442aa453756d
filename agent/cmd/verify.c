/* galera-backup verify */
#include "agent/cmd/cmd.h"
#include "agent/ui/progress.h"
#include "agent/ui/text.h"
#include "common/processors.h"

#include <inttypes.h>

static void show(void *context, uint64_t done, uint64_t total)
{
    progress_show(context, done, total, "");
}

static void report(void *context, const struct gb_error *problem)
{
    progress_clear(context);
    fprintf(stderr, "damaged: %s\n", problem->what);
}

int cmd_verify(const struct options *options, struct gb_error *error)
{
    struct repository *r = cmd_repository(options, error);
    struct manifest m;
    struct verify_report result;
    if (!r || !cmd_find(options, r, &m, error)) {
        repository_close(r);
        return error_exit_status(error->code);
    }
    struct progress bar;
    struct verify_request request = {.deep = !options->quick,
                                     .threads = options_threads(options) ? options_threads(options) : processors(),
                                     .report = report, .progress = show, .context = &bar};
    progress_start(&bar, options->progress, "verifying", options->json);
    bool ok = repository_verify(r, &m, &request, &result, error);
    progress_end(&bar);
    if (ok) {
        char bytes[32];
        if (options->json)
            printf("{\"schema\": 1, \"id\": \"%s\", \"level\": \"%s\", \"frames\": %" PRIu64 ", \"bytes\": %" PRIu64
                   ", \"damaged\": %u, \"unverifiable\": %u}\n",
                   m.id, options->quick ? "quick" : "deep", result.frames, result.bytes, result.damaged, result.unverifiable);
        else
            printf("%s: %s, %" PRIu64 " frames, %s read\n", m.id, result.damaged ? "DAMAGED" : "good", result.frames,
                   text_bytes(result.bytes, bytes, sizeof bytes));
        if (result.unverifiable && !options->json)
            printf("%u files hold pages without a checksum (ALTER TABLE ... FORCE writes them anew, with one)\n",
                   result.unverifiable);
        if (result.damaged)
            error_set(error, GB_corrupt_backup, "%s: %u damaged places", m.id, result.damaged);
    }
    manifest_free(&m);
    repository_close(r);
    return error->code ? error_exit_status(error->code) : 0;
}
