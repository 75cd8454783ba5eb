// gorb/plugin.hpp: all a C++ plugin needs. Header-only C++17; it is compiled into the plugin, so no C++ type
// crosses the border to gorbd and no exception does either.
//
//   #include <gorb/plugin.hpp>
//   struct Mine : gorb::sdk::ConnectionPulse { ... };     // see gorb/sdk/pulse.hpp
//   GORB_PULSE(Mine)                                      // exports the one symbol gorbd looks for
#ifndef GORB_PLUGIN_HPP
#define GORB_PLUGIN_HPP
#include <gorb/abi.h>
#include <gorb/sdk/connection.hpp>
#include <gorb/sdk/host.hpp>
#include <gorb/sdk/pulse.hpp>
#include <gorb/sdk/values.hpp>

// The oldest minor version of the host that the library works with. Define it before including this file when
// the plugin uses what a later minor brought and does not ask GORB_HAS.
#ifndef GORB_NEEDS_MINOR
#define GORB_NEEDS_MINOR 0u
#endif

#define GORB_SDK_TEXT_(x) #x
#define GORB_SDK_TEXT(x) GORB_SDK_TEXT_(x)
#if defined(__clang__)
#define GORB_SDK_COMPILER                                                                         \
    "clang " GORB_SDK_TEXT(__clang_major__) "." GORB_SDK_TEXT(__clang_minor__) "." GORB_SDK_TEXT( \
        __clang_patchlevel__)
#elif defined(__GNUC__)
#define GORB_SDK_COMPILER \
    "gcc " GORB_SDK_TEXT(__GNUC__) "." GORB_SDK_TEXT(__GNUC_MINOR__) "." GORB_SDK_TEXT(__GNUC_PATCHLEVEL__)
#else
#define GORB_SDK_COMPILER "an unknown compiler"
#endif
// "gcc 12.2.0, gorb ABI 1.1": shown by GET /plugins.
#define GORB_SDK_BUILD GORB_SDK_COMPILER ", gorb ABI 1.1"
static_assert(GORB_ABI_MAJOR == 1 && GORB_ABI_MINOR == 1, "GORB_SDK_BUILD names another ABI");

namespace gorb::sdk {

template <class... Tables>
struct Library {
    static constexpr const gorb_plugin* plugins[] = {&Tables::table..., nullptr};
};

}  // namespace gorb::sdk

// Exports a library of several plugins: GORB_PLUGIN(gorb::sdk::Pulse<A>, gorb::sdk::Pulse<B>). Once in a
// library, in the global namespace.
#define GORB_PLUGIN(...)                                                            \
    /* visible by its declaration in abi.h */                                       \
    const gorb_entry gorb_plugin_entry = {sizeof(gorb_entry),                       \
                                          GORB_ABI_MAJOR,                           \
                                          GORB_NEEDS_MINOR,                         \
                                          GORB_SDK_BUILD,                           \
                                          gorb::sdk::Library<__VA_ARGS__>::plugins, \
                                          nullptr,                                  \
                                          nullptr};

// Exports a library of one pulse.
#define GORB_PULSE(P) GORB_PLUGIN(gorb::sdk::Pulse<P>)

#endif  // GORB_PLUGIN_HPP
