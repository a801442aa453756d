/*
  A repository that is named by where it is, without a configuration: /PATH, file:///PATH, or
  s3://BUCKET[/PREFIX][?KEY=VALUE[&KEY=VALUE...]] or swift://CONTAINER[/PREFIX][?...], where KEY is
  one of those that a [repository:NAME] of that type has (endpoint, auth-url, region, ca-file,
  credentials-file, ...), but for secrets. %20 and the like are undone everywhere.
*/
#ifndef GB_AGENT_LOCATION_H
#define GB_AGENT_LOCATION_H

#include "agent/config.h"

/* Whether text is one, rather than a name of the configuration. */
bool location_is(const char *text);

/* Fills spec, with the defaults of a section that says nothing else. Nothing is opened or made.
   Errors: GB_bad_value, GB_bad_config (a key's value), GB_not_supported (another scheme). */
bool location_parse(const char *text, struct repository_spec *spec, struct gb_error *error);

#endif
