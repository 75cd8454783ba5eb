// A library with one fault in what it exports, chosen by a FAULT_... definition; FAULT_NONE has none.
#include <gorb/abi.h>
#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace {

const gorb_option args[] = {
#if defined(FAULT_BAD_TYPE)
    {"port", 99, 0, nullptr, nullptr, "a type that does not exist"},
#elif defined(FAULT_BAD_FALLBACK)
    {"port", GORB_INT, 0, "70000", "1..65535", "a fallback outside its range"},
#else
    {"port", GORB_INT, 0, nullptr, "1..65535", "another port"},
    {"fault", GORB_TEXT, 0, "none", "none|check|check-silent|check-throws", "what check() does"},
#endif
    {nullptr, 0, 0, nullptr, nullptr, nullptr}};

int32_t check(const gorb_config* config, gorb_error* error) {
    gorb_str fault{};
    if (config->text(config, "fault", &fault) != 0 || fault.len == 4) return 0;
    if (fault.len == 5) std::snprintf(error->text, sizeof error->text, "port and fault do not go together");
    if (fault.len == 12 && fault.ptr[6] == 't') throw std::runtime_error("check is broken");
    return -22;
}
void* create(const gorb_host*, const gorb_config*, gorb_error*) {
    static int self;
    return &self;
}
void destroy(void*) {}
void* add(void* self, const gorb_target*, gorb_error*) {
    return self;
}
void remove_probe(void*) {}
[[maybe_unused]] void start(void*, gorb_run, uint64_t) {}
void cancel(void*, gorb_run) {}

[[maybe_unused]] const gorb_pulse_ops ops = {
#ifdef FAULT_SMALL_OPS
    offsetof(gorb_pulse_ops, cancel),
#else
    sizeof(gorb_pulse_ops),
#endif
    args,
    &check,
    &create,
    &destroy,
    &add,
    &remove_probe,
#ifdef FAULT_NO_START
    nullptr,
#else
    &start,
#endif
    &cancel};

[[maybe_unused]] const gorb_plugin good = {
#ifdef FAULT_SMALL_PLUGIN
    8,
#else
    sizeof(gorb_plugin),
#endif
#if defined(FAULT_NO_KIND)
    nullptr,
#elif defined(FAULT_FOREIGN_KIND)
    "gorb.teapot/1",
#else
    GORB_KIND_PULSE,
#endif
#ifdef FAULT_BAD_NAME
    "Not a name",
#else
    "fine",
#endif
    "1.2.3",
    "does nothing",
    nullptr,
#ifdef FAULT_NO_OPS
    nullptr
#else
    &ops
#endif
};

#ifdef FAULT_HALF_GOOD
const gorb_plugin other = {sizeof(gorb_plugin), GORB_KIND_PULSE, "other", "0",
                           "has no ops",        nullptr,         nullptr};
#endif

#ifdef FAULT_TABLES_CRASH
// NOLINTNEXTLINE(performance-no-int-to-ptr): nothing is to be there
const auto* const nowhere = reinterpret_cast<const gorb_plugin*>(uintptr_t{8});
#endif

[[maybe_unused]] const gorb_plugin* const plugins[] = {
#if defined(FAULT_NO_END)
    &good,   &good, &good, &good, &good, &good, &good, &good, &good, &good, &good, &good, &good,
    &good,   &good, &good, &good, &good, &good, &good, &good, &good, &good, &good, &good, &good,
    &good,   &good, &good, &good, &good, &good, &good, &good, &good, &good, &good, &good, &good,
    &good,   &good, &good, &good, &good, &good, &good, &good, &good, &good, &good, &good, &good,
    &good,   &good, &good, &good, &good, &good, &good, &good, &good, &good, &good, &good, &good,
#elif !defined(FAULT_EMPTY_TABLE)
    &good,
#endif
#ifdef FAULT_TWINS
    &good,
#endif
#ifdef FAULT_HALF_GOOD
    &other,
#endif
#ifdef FAULT_TABLES_CRASH
    nowhere,
#endif
    nullptr};

#ifdef FAULT_CONSTRUCTOR_THROWS
const int thrown = [] {
    if (plugins[0]) throw std::runtime_error("a constructor of the library threw");
    return 0;
}();
#endif

#ifdef FAULT_CONSTRUCTOR_EXITS
const int exited = [] {
    _exit(3);
    return 0;
}();
#endif

#ifdef FAULT_CONSTRUCTOR_CRASHES
const int crashed = [] {
    std::abort();
    return 0;
}();
#endif

#ifdef FAULT_CONSTRUCTOR_HANGS
const int hung = [] {
    sleep(60);
    return 0;
}();
#endif

int32_t load([[maybe_unused]] gorb_error* error) {
#if defined(FAULT_LOAD_FAILS)
    std::snprintf(error->text, sizeof error->text, "no license for this teapot");
    return -1;
#elif defined(FAULT_LOAD_SAYS_NOTHING)
    return -5;
#elif defined(FAULT_LOAD_THROWS)
    throw std::runtime_error("load is broken");
#elif defined(FAULT_LOAD_CRASHES)
    signal(SIGSEGV, SIG_DFL);  // a sanitizer has one of its own
    return raise(SIGSEGV);
#elif defined(FAULT_LOAD_EXITS)
    _exit(0);
#elif defined(FAULT_LOAD_HANGS)
    sleep(60);
    return 0;
#else
    return 0;
#endif
}

void unload() {
#ifdef FAULT_UNLOAD_THROWS
    throw std::runtime_error("unload is broken");
#endif
}

}  // namespace

#ifdef FAULT_UNRESOLVED
extern "C" int gorb_nobody_defines_this();
int gorb_bad_call() {
    return gorb_nobody_defines_this();
}
#endif

#ifdef FAULT_NO_SYMBOL
extern "C" GORB_EXPORT const gorb_entry* unused_entry() {
    static const gorb_entry entry = {sizeof(gorb_entry), 1, 0, "test", plugins, &load, &unload};
    return &entry;
}
#else
const gorb_entry gorb_plugin_entry = {
#ifdef FAULT_SMALL_ENTRY
    4,
#else
    sizeof(gorb_entry),
#endif
#ifdef FAULT_OTHER_MAJOR
    GORB_ABI_MAJOR + 1,
#else
    GORB_ABI_MAJOR,
#endif
#ifdef FAULT_NEWER_MINOR
    GORB_ABI_MINOR + 1,
#else
    0,
#endif
    "test build",
#ifdef FAULT_NO_TABLE
    nullptr,
#else
    plugins,
#endif
    &load,
    &unload};
#endif
