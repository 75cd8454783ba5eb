#include "rest/error.h"

#include <span>

#include "base/json.h"

namespace gorb::rest {
namespace {

Response response(int status, std::string_view sentence, std::span<const base::Fault> faults) {
    Response out;
    out.status = status;
    out.body.reserve(64 + sentence.size());
    base::StringSink sink(out.body);
    base::JsonWriter w(sink);
    w.StartObject();
    base::key(w, "error");
    base::value(w, sentence);
    if (!faults.empty()) {
        base::key(w, "fields");
        w.StartArray();
        for (const auto& fault : faults) {
            w.StartObject();
            base::key(w, "pointer");
            base::value(w, fault.pointer);
            base::key(w, "problem");
            base::value(w, fault.what);
            w.EndObject();
        }
        w.EndArray();
    }
    w.EndObject();
    return out;
}

}  // namespace

int status_of(base::Errc code) {
    switch (code) {
        case base::Errc::invalid:
            return 400;
        case base::Errc::not_found:
            return 404;
        case base::Errc::exists:
            return 409;
        case base::Errc::stale:
            return 412;
        case base::Errc::too_large:
            return 413;
        case base::Errc::unsupported:
        case base::Errc::forbidden:
        case base::Errc::refused:
        case base::Errc::io:
        case base::Errc::internal:
            return 500;
        case base::Errc::unavailable:
            return 503;
        case base::Errc::timeout:
            return 504;
        case base::Errc::no_space:
            return 507;
    }
    return 500;
}

Response error_response(const base::Error& error) {
    return response(status_of(error.code), error.sentence, error.faults);
}

Response error_response(int status, std::string_view sentence) {
    return response(status, sentence, {});
}

}  // namespace gorb::rest
