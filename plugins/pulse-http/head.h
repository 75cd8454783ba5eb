// The fields of a reply's head as the parser takes them. It refuses a whole reply for some of which HTTP says
// what becomes of them, or which say nothing about the reply; those are kept from it. Pure.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace pulse_http {

struct Fields {
    std::optional<std::string> text;  // what the parser is to read; nullopt: what there is
    bool close = false;               // is the connection of no use after this reply?
};

// `lines`: the fields, one or more lines each, and the empty line behind them, all ended by CR LF. `see` is
// told name and value of each field that is kept from the parser:
//
// * Content-Length, where there is Transfer-Encoding as well, which overrides it (RFC 9112, 6.3). Something
//   between us and the server may have believed the length, so the connection is not kept.
// * Transfer-Encoding that is "identity", which is none (RFC 2616, 3.6).
// * Connection that is no list of tokens ("keep-alive; timeout=5"): whatever it means, it is not kept.
Fields for_parser(std::string_view lines,
                  const std::function<void(std::string_view name, std::string_view value)>& see);

// The name of the field that `line` begins with; "" where it begins with none.
std::string_view field_name(std::string_view line);

}  // namespace pulse_http
