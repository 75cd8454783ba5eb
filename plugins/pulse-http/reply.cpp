#include "reply.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace pulse_http {

namespace http = boost::beast::http;

struct ReplyReader::Parser : http::response_parser<http::empty_body> {
    Parser() { header_limit(most_head); }
};

ReplyReader::ReplyReader() : parser_(std::make_unique<Parser>()) {}
ReplyReader::~ReplyReader() = default;

namespace {

std::string printable(std::string_view text) {
    constexpr size_t most = 120;
    std::string out;
    for (const char c : text.substr(0, most)) out += c > 0x20 && c < 0x7f ? c : '?';
    return text.size() > most ? out + "..." : out;
}

bool is_interim(int status) {
    return status >= 100 && status < 200 && status != 101;
}

}  // namespace

size_t ReplyReader::bad(std::string problem, size_t size) {
    state_ = State::bad;
    problem_ = std::move(problem);
    return size;
}

size_t ReplyReader::feed(std::string_view bytes) {
    if (state_ != State::more) return bytes.size();
    begun_ = begun_ || !bytes.empty();
    size_t used = 0;
    while (used < bytes.size()) {
        // The parser would wait for the end of a line that another protocol's server may never send.
        constexpr std::string_view magic = "HTTP/";
        const std::string_view rest = bytes.substr(used);
        if (!line_read_ && rest.substr(0, magic.size()) != magic.substr(0, rest.size()))
            return bad("not an HTTP reply (it begins with \"" + printable(rest.substr(0, 24)) + "\")",
                       bytes.size());

        boost::beast::error_code error;
        const size_t now = parser_->put(boost::asio::const_buffer(rest.data(), rest.size()), error);
        used += now;
        line_read_ = line_read_ || now > 0;
        if (error == http::error::need_more) return used;
        if (error == http::error::header_limit)
            return bad("the reply's headers are longer than " + std::to_string(most_head / 1024) + " KiB",
                       bytes.size());
        if (error) return bad("not an HTTP reply (" + error.message() + ")", bytes.size());
        if (!parser_->is_header_done()) continue;

        const int status = static_cast<int>(parser_->get().result_int());
        if (is_interim(status)) {
            if (++interim_ > most_interim)
                return bad("more than " + std::to_string(most_interim) + " interim replies", bytes.size());
            parser_ = std::make_unique<Parser>();
            line_read_ = false;
            continue;
        }
        if (status < 100)
            return bad("not an HTTP reply (status " + std::to_string(status) + ")", bytes.size());
        status_ = status;
        const auto location = parser_->get()[http::field::location];
        location_ = printable({location.data(), location.size()});
        state_ = State::done;
        return bytes.size();
    }
    return used;
}

Judgement judge(int status, std::string_view location, const Expectation& expected) {
    std::string words = "status " + std::to_string(status);
    const bool pass = expected.accepts(status);
    if (status >= 300 && status < 400 && !location.empty())
        words += ", redirects to " + std::string(location) + " (not followed)";
    if (!pass) words += " (expected " + expected.text() + ")";
    return {pass, std::move(words)};
}

}  // namespace pulse_http
