// Bytes as a person writes them in options, and as a person reads them in a reason.
//
// Threads: any. Pure.
#pragma once
#include <string>
#include <string_view>

namespace pulse_match {

// `text` with its escapes read: \r \n \t \0 \\ and \xNN (two hex digits). Throws sdk::Error that begins with
// `what` ("\"send\"") for any other use of a backslash.
std::string unescaped(std::string_view text, std::string_view what);

// "50 49 4e 47 0d0a" -> bytes. Between bytes there may be blanks, line ends, ':' and '-'. Throws sdk::Error
// that begins with `what`.
std::string from_hex(std::string_view text, std::string_view what);

// `bytes` in double quotes for a reason: printable ASCII as it is, everything else as the escapes above. At
// most `most` characters between the quotes; "..." follows where it was cut.
std::string in_quotes(std::string_view bytes, size_t most = 80);

// `bytes` without the line ends at its end.
std::string_view without_line_end(std::string_view bytes);

}  // namespace pulse_match
