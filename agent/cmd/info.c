/* galera-backup info */
#include "agent/cmd/cmd.h"
#include "agent/repository/verified.h"
#include "agent/ui/text.h"
#include "agent/warn.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void print_verified(const struct verified *v)
{
    char at[32], percent[32] = "";
    if (v->percent)
        snprintf(percent, sizeof percent, ", %u %% of it", v->percent);
    printf("verified    %s%s%s%s\n", verified_word(v), v->verified_at ? ", " : "",
           text_time(v->verified_at, at, sizeof at), percent);
    for (unsigned i = 0; i < v->problem_count; i++)
        printf("  %s\n", v->problem[i]);
}

int cmd_info(const struct options *options, struct gb_error *error)
{
    struct repository *r = cmd_repository(options, error);
    struct manifest m;
    if (!r || !cmd_find(options, r, &m, error)) {
        repository_close(r);
        return error_exit_status(error->code);
    }
    struct verified verified;
    struct gb_error unread = {0};
    if (!verified_read(&verified, r, m.cluster, m.id, &unread))
        warn_of(&unread, NULL);
    struct ist_donors *donors = calloc(1, sizeof *donors);
    struct gb_error absent = {0};
    const char *position = manifest_position(&m);
    bool asked = donors && position[0] && cmd_donors(options, donors, &absent);
    char recipients[512], prefix[1024], name[1100], size[32], stored[32], redo[32], started[32],
        finished[32];
    repository_prefix(prefix, sizeof prefix, m.cluster, m.id);
    if (!repository_recipients(r, &m, recipients, sizeof recipients, &absent))
        warn_of(&absent, NULL);
    if (options->json) {
        /* The manifest itself, with the schema number of our output; checked as it is shown, which
         * is read after what was found. */
        size_t bytes;
        struct manifest shown = {0};
        snprintf(name, sizeof name, "%s/backup.json", prefix);
        char *text = storage_read_all(r->storage, name, 64u << 20, &bytes, error);
        bool same = text && manifest_parse(&shown, text, bytes, name, &r->trusted, error) &&
                    ((!strcmp(shown.id, m.id) && !strcmp(shown.cluster, m.cluster) &&
                      !strcmp(shown.nonce, m.nonce)) ||
                     error_set(error, GB_corrupt_backup, "%s is that of another backup, %s/%s",
                               name, shown.cluster, shown.id));
        json_t *root = same ? json_loadb(text, bytes, 0, NULL) : NULL;
        if (root) {
            json_object_set_new(root, "schema", json_integer(1));
            json_object_set_new(root, "position", json_string(position));
            json_object_set_new(root, "verified",
                                verified.verified_at ? verified_json(&verified) : json_null());
            struct ist_prediction p = {.behind = -1, .lowest = -1};
            if (asked)
                ist_predict(donors, position, &p);
            cmd_ist_json(root, position, &p);
            json_object_set_new(root, "key_ids", json_string(recipients));
            json_dumpf(root, stdout, JSON_INDENT(1));
            putchar('\n');
        }
        json_decref(root);
        manifest_free(&shown);
        free(text);
    } else {
        printf(
            "id          %s\ncluster     %s\nnode        %s, MariaDB %s\ntype        %s\nstarted   "
            "  %s by %s\n"
            "finished    %s\nsize        %s in %u files, redo %s\nstored      %s in %zu objects\n",
            m.id, m.cluster, m.node, m.server_version, m.type,
            text_time(m.started_at, started, sizeof started), m.user,
            text_time(m.finished_at, finished, sizeof finished),
            text_bytes(m.data_bytes, size, sizeof size), m.files,
            text_bytes(m.redo_bytes, redo, sizeof redo),
            text_bytes(m.stored_bytes, stored, sizeof stored), m.object_count);
        if (manifest_is_save(&m))
            printf("position    not known: a save, the directory as it was\n");
        else
            printf("position    %s\nLSN         %llu to %llu\n",
                   position[0] ? position : "none (standalone)",
                   (unsigned long long)m.checkpoint_lsn, (unsigned long long)m.end_lsn);
        printf("place       %s/%s\n", storage_describe(r->storage), prefix);
        if (position[0]) {
            char ist[512];
            cmd_ist_text(asked ? donors : NULL, position, ist, sizeof ist);
            printf("IST         %s\n", ist);
        }
        if (options->donor && position[0] && !asked)
            fprintf(stderr, "%s could not be asked: %s\n", options->donor, absent.what);
        print_verified(&verified);
        if (m.encryption.on)
            printf("encrypted   for %s\n", recipients);
        if (m.signer[0])
            printf("signed      by %s%s\n", m.signer,
                   r->trusted.count ? "" : " (not checked: no trusted-signer)");
        if (m.comment[0])
            printf("comment     %s\n", m.comment);
        for (uint32_t i = 0; i < m.facts.count; i++)
            if (m.facts.fact[i].value[0])
                printf("  %-26s %s\n", m.facts.fact[i].key, m.facts.fact[i].value);
    }
    free(donors);
    manifest_free(&m);
    repository_close(r);
    return error->code ? error_exit_status(error->code) : 0;
}
