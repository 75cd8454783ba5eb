// Any bytes as the body of a PUT or PATCH: nothing crashes, a refusal says why, and what is accepted keeps
// the rules and reads back from its own output.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "model/codec.h"
#include "model/rules.h"

namespace {

using namespace gorb;

template <class Value, class Write>
std::string written(const Value& value, Write write) {
    std::string out;
    base::StringSink sink(out);
    base::JsonWriter writer(sink);
    write(writer, value);
    GORB_CHECK(writer.IsComplete());
    return out;
}

void check_refusal(const base::Error& error) {
    GORB_CHECK(error.code == base::Errc::invalid);
    GORB_CHECK(!error.sentence.empty());
    for (const base::Fault& fault : error.faults) {
        GORB_CHECK(fault.pointer.empty() || fault.pointer.front() == '/');
        GORB_CHECK(!fault.what.empty());
    }
}

void check_service(const base::Result<model::Service>& service) {
    if (!service) return check_refusal(service.error());
    GORB_CHECK(model::service_violations(*service).empty());
    const auto again =
        model::read_service(service->name, written(*service, model::write_service_options), {});
    GORB_CHECK(again.has_value());
    GORB_CHECK(*again == *service);
}

void check_backend(const base::Result<model::Backend>& backend) {
    if (!backend) return check_refusal(backend.error());
    GORB_CHECK(model::backend_violations(*backend).empty());
    const auto again = model::read_backend(backend->name, written(*backend, model::write_backend_options));
    GORB_CHECK(again.has_value());
    GORB_CHECK(*again == *backend);
}

model::Service some_service() {
    return model::read_service(
               "web", R"({"address": "10.0.0.1", "port": 80, "method": "sh", "persistent": true})", {})
        .value();
}

model::Backend some_backend() {
    return model::read_backend(
               "b1",
               R"({"address": "10.1.0.1", "port": 80, "pulse": {"type": "http", "path": "/a", "x": {"y": [1, {"z": 2}]}}})")
        .value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const model::Service service = some_service();
    static const model::Backend backend = some_backend();
    const std::string_view body(reinterpret_cast<const char*>(data), size);
    check_service(model::read_service("web", body, {}));
    check_backend(model::read_backend("b1", body));
    check_service(model::patch_service(service, body));
    check_backend(model::patch_backend(backend, body));
    return 0;
}
