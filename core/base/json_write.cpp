#include "base/json_write.h"

#include <rapidjson/internal/dtoa.h>

#include <cmath>

namespace gorb::base {

void StringSink::flush() {
    out_->append(piece_.data(), used_);
    used_ = 0;
}

void JsonWriter::Double(double number) {
    if (!std::isfinite(number)) {
        Null();
    } else if (number == 1) {
        raw("1.0");  // what is well
    } else {
        constexpr size_t most = 25;  // as RapidJSON has it
        char* at = begin(most);
        out_->wrote(rapidjson::internal::dtoa(number, at));
        end();
    }
}

void JsonWriter::raw(std::string_view json) {
    if (json.size() + 1 > StringSink::piece) {
        out_->wrote(begin(0));
        out_->append(json);
    } else {
        char* at = begin(json.size());
        if (!json.empty()) std::memcpy(at, json.data(), json.size());
        out_->wrote(at + json.size());
    }
    end();
}

void JsonWriter::escaped(std::string_view text) {
    constexpr size_t most = 6;  // of one byte
    char* at = begin(1);
    *at++ = '"';
    for (const char c : text) {
        out_->wrote(at);
        at = out_->reach(most);
        const auto byte = static_cast<unsigned char>(c);
        constexpr std::string_view escapes = "\bb\tt\nn\ff\rr\"\"\\\\";
        if (byte >= 0x20 && c != '"' && c != '\\') {
            *at++ = c;
        } else if (const size_t known = escapes.find(c); known % 2 == 0) {
            *at++ = '\\';
            *at++ = escapes[known + 1];
        } else {
            constexpr std::string_view digits = "0123456789ABCDEF";
            for (const char u : {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]}) *at++ = u;
        }
    }
    out_->wrote(at);
    put('"');
}

}  // namespace gorb::base
