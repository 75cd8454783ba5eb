/* gorb/draft/announcer.h: a draft, outside every promise. No host runs plugins of this kind; the first one
 * that does may have changed all of it.
 *
 * C11, and valid C++17, on top of gorb/abi.h; the tags are those of that file.
 */
/* Aligned by hand: */
/* clang-format off */
#ifndef GORB_DRAFT_ANNOUNCER_H
#define GORB_DRAFT_ANNOUNCER_H
#include <gorb/abi.h>
#ifdef __cplusplus
extern "C" {
#endif

/* ---- kind: announcer (BGP, DNS, webhook, ...) -----------------------------------------------
 * Told the state the world should see, not the edges between states: while a run is open for a
 * service, newer views of that service replace each other and only the newest is delivered
 * next. The host retries failed runs with backoff. One instance per configured announcer.    */
#define GORB_KIND_ANNOUNCER "gorb.announcer/1"
enum { GORB_DOWN = 0, GORB_UP = 1, GORB_DRAINING = 2 };
typedef struct gorb_service_view {
    uint32_t  struct_size, state;
    gorb_str  id;
    gorb_addr vip;
    uint32_t  protocol, fwmark;         /* IPPROTO_TCP ...; fwmark services have vip.family 0   */
    uint32_t  backends, healthy;
    uint64_t  revision;                 /* of the desired state this view was taken from        */
    gorb_str  labels;                   /* the service's labels, a JSON object                  */
} gorb_service_view;
typedef struct gorb_announcer_ops {     /* all [loop]                                           */
    uint32_t struct_size;
    void *(*create)(const gorb_host *, const gorb_config *, gorb_error *);
    void  (*destroy)(void *self);
    void  (*update)(void *self, gorb_run, const gorb_service_view *);
    void  (*remove)(void *self, gorb_run, gorb_str id);
    void  (*synced)(void *self);        /* first full set is through: the rest out there is old */
} gorb_announcer_ops;
typedef struct gorb_announcer_host {    /* service GORB_KIND_ANNOUNCER                          */
    uint32_t struct_size;
    int32_t (*done)(const gorb_host *, gorb_run, int32_t status, gorb_str detail); /* [any]     */
} gorb_announcer_host;

#ifdef __cplusplus
}
#endif
#endif /* GORB_DRAFT_ANNOUNCER_H */
