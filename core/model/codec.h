// JSON <-> services and backends, with upstream gorb's field names and the specification's.
//
// Reading is strict: every unknown field, wrong type and value out of range becomes a Fault with its JSON
// pointer, and all of them are reported at once. The rules that need only the document itself are applied
// here (rules.h); whether a pulse type exists and its args are right is for whoever knows the plugins.
//
// Accepted spellings: `address` or `host` (not both, unless equal); pulse options beside `type` or inside
// `args`; `method` of a backend nat|masq, tunnel|ipip, dr|gate; `persistent` true, false, seconds, or a
// duration text; `persistence-timeout` (seconds or duration) and `netmask` ("255.255.255.0", "/24", 24; of
// IPv6 the prefix length only) beside it; `flags` as "a|b" or ["a", "b"], with upstream's flag-1 and flag-2
// for fallback and port. Beside a `method` that is "", as upstream's Go writes what is not set, a weight of 0
// is not set either, nor in a PATCH what is 0, false, "" or null of upstream's members. Names of protocols,
// methods, flags and pulse types in any case. Numbers are JSON numbers; durations are duration texts or whole
// seconds.
//
// Cost: about 3 us for {"weight":55}, 11 us for a whole backend with a pulse (optimised, one core of 2 GHz or
// so).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/json.h"
#include "base/result.h"
#include "model/service.h"

namespace gorb::model {

// What a document may leave open.
struct Defaults {
    std::optional<base::Ip> address;  // of a service that names none (upstream's -i)
};

// `body` is the JSON text. The object is complete: what the document left out has its default.
base::Result<Service> read_service(std::string name, std::string_view body, const Defaults& defaults);
base::Result<Backend> read_backend(std::string name, std::string_view body);

// The same from an object within a larger document. What is wrong is added to doc.faults(), with pointers as
// those of `doc`, which must be ""; the value counts only if there are none. Members that were taken from
// `doc` before are the caller's.
Service read_service(std::string name, base::ObjectReader& doc, const Defaults& defaults);
Backend read_backend(std::string name, base::ObjectReader& doc);

// PATCH: only what the document names; key fields (address/host, port, protocol of a service; address/host,
// port of a backend) are accepted only with their present value, otherwise a Fault that says why and what to
// do instead. Merges the document into `now` (RFC 7396 within `pulse` and its args: null removes an argument;
// a new `type` starts from empty args).
base::Result<Service> patch_service(const Service& now, std::string_view body);
base::Result<Backend> patch_backend(const Backend& now, std::string_view body);

// The `options` object as GET shows it; what it writes, read_*() reads back to the same value.
void write_service_options(base::JsonWriter& out, const Service& service);
void write_backend_options(base::JsonWriter& out, const Backend& backend);
// Its members, into the object that is open.
void write_service_members(base::JsonWriter& out, const Service& service);

// The same without what the kernel knows the object by (address, port, protocol), for who keeps that beside
// it; most backends of a site have equal settings. Reading checks the whole object, like read_*().
void write_service_settings(base::JsonWriter& out, const Service& service);
void write_backend_settings(base::JsonWriter& out, const Backend& backend);
base::Result<Service> read_service_settings(const ServiceKey& key, std::string_view settings);
base::Result<Backend> read_backend_settings(const base::Endpoint& address, std::string_view settings);

// "sh-fallback|sh-port" for flags of a service with that scheduler; "" for none.
std::string flags_text(const std::string& scheduler, uint32_t flags);

}  // namespace gorb::model
