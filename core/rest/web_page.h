// What web pages may do. Any page can have its reader's browser send a POST, and what it likes to a name of
// its own that it has let point to this address since. Browsers say for whom they send all but a GET (RFC
// 6454).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gorb::rest {

// Why a request for a page of `origin` ("" for none) is refused (403), where those of `may_write` alone may
// change something; nullopt: it is not.
std::optional<std::string> page_refusal(std::string_view method, std::string_view origin,
                                        const std::vector<std::string>& may_write);

}  // namespace gorb::rest
