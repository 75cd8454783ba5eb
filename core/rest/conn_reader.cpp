#include "rest/conn_reader.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <cctype>
#include <optional>
#include <utility>

#include "base/give_back.h"
#include "rest/web_page.h"

namespace gorb::rest {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using Text = beast::string_view;

struct Refusal {
    int status = 0;  // 0: none
    std::string why;
};

std::string_view std_view(Text text) {
    return {text.data(), text.size()};
}

// Bodies up to this are not counted: so many connections as there may be have no more than some 64 MiB of
// them.
constexpr size_t small_body_bytes = 16 << 10;

// Writes what the handler is given straight into the Request.
class Parser final : public http::basic_parser<true> {
  public:
    Parser(const Limits& limits, Request& request) : most(limits.body_bytes), limits_(limits), out_(request) {
        header_limit(UINT32_MAX);  // the head comes whole, its size has been looked at
        body_limit(most);
    }

    Refusal refusal;
    int version = 11;
    bool head_only = false, expects = false;
    uint64_t chunk_left = 0;  // bytes of the present chunk that have not come yet
    size_t most;              // bytes that the body may have

    bool refuse(int status, std::string why) {
        if (refusal.status == 0) refusal = {status, std::move(why)};
        return false;
    }

    // What was not refused while the fields went by.
    bool head_complete() {
        if (hosts_ > 1) return refuse(400, "the request has more than one Host header");
        if (hosts_ == 0 && version == 11)
            return refuse(400, "the request has no Host header, which HTTP/1.1 demands");
        if (encodings_ > 0 && lengths_ > 0) {
            return refuse(400, "the request has both Content-Length and Transfer-Encoding");
        }
        if (encodings_ > 0 && version == 10) return refuse(400, "HTTP/1.0 has no Transfer-Encoding");
        if (encodings_ > 0 && !chunked()) {
            return refuse(501, "of transfer codings only \"chunked\" is implemented");
        }
        if (conditional_ && out_.if_match.empty())
            return refuse(400, "If-Match is empty; without a condition, leave it out");
        if (const auto why = page_refusal(out_.method, out_.origin, limits_.web_origins))
            return refuse(403, *why);
        return take_room(content_length() ? *content_length() : 0);
    }

  private:
    static void stop(beast::error_code& ec) { ec = http::error::bad_value; }

    void on_request_impl(http::verb, Text method, Text target, int http_version,
                         beast::error_code& ec) override {
        version = http_version;
        head_only = method == "HEAD";
        out_.method = head_only ? "GET" : std::string(std_view(method));
        if (!set_target(std_view(target))) {
            stop(ec);
        } else if (limits_.takes_large && limits_.takes_large(out_.method, out_.path)) {
            most = limits_.large_body_bytes;
            body_limit(most);
        }
    }

    Room& room() {
        if (!out_.room) out_.room = std::make_shared<Room>(limits_.bodies);
        return *out_.room;
    }

    // A body of `bytes` is to be kept. false: there are too many large ones already.
    bool take_room(uint64_t bytes) {
        if (bytes <= limits_.body_bytes || room().become_large(limits_.large_bodies)) return true;
        return refuse(503, "too many large bodies are under way at once; try again");
    }

    bool keep(Text part) {
        const size_t size = out_.body.size() + part.size();
        if (!take_room(size)) return false;
        // A length is only a promise; what has not come yet gets no memory. But no more than was promised.
        if (size > out_.body.capacity() && content_length())
            out_.body.reserve(std::min<size_t>(std::max(size, 2 * out_.body.capacity()), *content_length()));
        out_.body += std_view(part);
        if (size > small_body_bytes) room().grow_to(out_.body.capacity());
        return true;
    }

    // RFC 9112, 3.2: "/path?query", the same behind "http://host", or "*".
    bool set_target(std::string_view target) {
        if (!target.starts_with('/') && target != "*") {
            const size_t scheme = target.find("://");
            if (scheme == std::string_view::npos) {
                return refuse(400, "the request's target must be a path that begins with \"/\"");
            }
            const size_t path = target.find_first_of("/?", scheme + 3);
            target = path == std::string_view::npos ? std::string_view() : target.substr(path);
        }
        const size_t mark = target.find('?');
        out_.path = target.substr(0, mark);
        if (out_.path.empty()) out_.path = "/";
        if (mark != std::string_view::npos) out_.query = target.substr(mark + 1);
        return true;
    }

    void on_field_impl(http::field name, Text, Text value, beast::error_code& ec) override {
        if (in_body_) return;  // a trailer: nothing that we read may come in one
        switch (name) {
            case http::field::host:
                ++hosts_;
                break;
            case http::field::content_length:
                ++lengths_;
                break;
            case http::field::transfer_encoding:
                ++encodings_;
                if (!beast::iequals(value, "chunked")) {
                    refuse(501, "of transfer codings only \"chunked\" is implemented");
                    stop(ec);
                }
                break;
            case http::field::if_match:
                conditional_ = true;
                if (!out_.if_match.empty()) out_.if_match += ", ";
                out_.if_match += std_view(value);
                break;
            case http::field::if_none_match:
                if (!out_.if_none_match) out_.if_none_match.emplace();
                if (!out_.if_none_match->empty()) *out_.if_none_match += ", ";
                *out_.if_none_match += std_view(value);
                break;
            case http::field::content_type:
                out_.content_type = std_view(value);
                break;
            case http::field::origin:
                out_.origin = std_view(value);
                break;
            case http::field::expect:
                if (version == 10) break;  // RFC 9110, 10.1.1
                expects = beast::iequals(value, "100-continue");
                if (!expects) {
                    refuse(417, "of expectations only \"100-continue\" is known");
                    stop(ec);
                }
                break;
            default:
                break;
        }
    }

    void on_header_impl(beast::error_code& ec) override {
        if (!head_complete()) stop(ec);
        in_body_ = true;
    }
    void on_body_init_impl(boost::optional<std::uint64_t> const& length, beast::error_code&) override {
        if (length) out_.body.reserve(std::min<size_t>(*length, 64 << 10));
    }
    std::size_t on_body_impl(Text part, beast::error_code& ec) override {
        if (!keep(part)) stop(ec);
        return part.size();
    }
    std::size_t on_chunk_body_impl(std::uint64_t, Text part, beast::error_code& ec) override {
        if (!keep(part)) stop(ec);
        chunk_left -= part.size();
        return part.size();
    }
    void on_chunk_header_impl(std::uint64_t size, Text, beast::error_code&) override { chunk_left = size; }
    void on_finish_impl(beast::error_code&) override {}
    void on_response_impl(int, Text, int, beast::error_code&) override {}

    const Limits& limits_;
    Request& out_;
    int hosts_ = 0, lengths_ = 0, encodings_ = 0;
    bool conditional_ = false;
    bool in_body_ = false;
};

constexpr char tls_handshake = 0x16;  // RFC 8446, 5.1: the first byte

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Does the request line end with a well-formed version other than ours?
bool other_version(std::string_view line) {
    constexpr std::string_view form = "HTTP/1.1";
    if (line.size() < form.size()) return false;
    const std::string_view version = line.substr(line.size() - form.size());
    return version.starts_with("HTTP/") && is_digit(version[5]) && version[6] == '.' &&
           is_digit(version[7]) && version != "HTTP/1.0" && version != "HTTP/1.1";
}

// Is this the line of the chunk of size 0? If it is no good line at all, the parser will say so.
bool is_last_chunk(std::string_view line) {
    const size_t digit = line.find_first_not_of('0');
    return line.starts_with('0') &&
           (digit == std::string_view::npos || !std::isxdigit(static_cast<unsigned char>(line[digit])));
}

Refusal refusal_of(const beast::error_code& ec, size_t most) {
    if (ec == http::error::body_limit)
        return {413, "the body is larger than " + std::to_string(most) + " bytes"};
    if (ec == http::error::bad_transfer_encoding || ec == http::error::bad_content_length ||
        ec == http::error::multiple_content_length) {
        return {400,
                "the headers contradict each other about the body's length, or give none that can be read"};
    }
    if (ec == http::error::bad_chunk || ec == http::error::bad_chunk_extension) {
        return {400, "the body is not well-formed chunked coding"};
    }
    if (ec == http::error::bad_field || ec == http::error::bad_value || ec == http::error::bad_obs_fold) {
        return {400, "a header is not well-formed"};
    }
    return {400, "this is not a well-formed HTTP/1.1 request"};
}

}  // namespace

struct RequestReader::Impl {
    explicit Impl(const Limits& l) : limits(l) {}

    enum class Where : uint8_t { head, body, refused };

    const Limits& limits;
    Where where = Where::head;
    std::string partial;           // taken, but not yet parsed
    size_t scanned = 0, line = 0;  // of the head: looked at so far, begin of the present line
    bool first_line = true;        // of the head
    bool between_chunks = false;
    std::optional<Parser> parser;  // of the present request
    std::shared_ptr<Request> request;
    size_t coding_bytes =
        0;  // of the body's bytes those that are not body: chunk sizes, extensions, trailers
    Refusal refusal;

    Step refuse(int status, std::string why) {
        refusal = {status, std::move(why)};
        where = Where::refused;
        return Step::refused;
    }
    Step take_head(std::string_view view, size_t& used);
    Step scan_head(std::string_view head, size_t& end);
    Step parse_head(std::string_view head);
    Step take_body(std::string_view view, size_t& used);
    Step scan_coding(std::string_view part, size_t& end);
    void begin_next() {
        where = Where::head;
        scanned = line = coding_bytes = 0;
        first_line = true;
        between_chunks = false;
    }
};

RequestReader::RequestReader(const Limits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestReader::~RequestReader() = default;

RequestReader::Step RequestReader::take(std::string_view& in) {
    Impl& i = *impl_;
    if (i.where == Impl::Where::refused) return Step::refused;
    const size_t before = i.partial.size();
    if (before > 0) i.partial.append(in);
    const std::string_view view = before > 0 ? std::string_view(i.partial) : in;
    size_t used = 0;
    const Step step = i.where == Impl::Where::head ? i.take_head(view, used) : i.take_body(view, used);
    if (step == Step::more) {
        if (before > 0) {
            i.partial.erase(0, used);
        } else {
            i.partial.assign(in.substr(used));
        }
        in = {};
        return step;
    }
    // The bytes kept from before were not enough for this step, so its end lies within `in`.
    in.remove_prefix(std::max(used, before) - before);
    i.partial.clear();
    if (step == Step::whole) i.begin_next();
    return step;
}

// Looks for the empty line that ends the head. `more`: it is not there yet; `whole`: `end` is behind it.
// Every verdict depends on the bytes up to its place only, so it is the same however they were cut.
RequestReader::Step RequestReader::Impl::scan_head(std::string_view head, size_t& end) {
    const std::string_view window = head.substr(0, limits.header_bytes);
    for (;;) {
        const size_t feed = window.find('\n', scanned);
        const size_t line_end = feed == std::string_view::npos ? window.size() : feed;
        const bool with_cr = line_end > line && window[line_end - 1] == '\r';
        const size_t length = line_end - line - (with_cr ? 1 : 0);
        if (first_line && length > limits.line_bytes) {
            return refuse(414,
                          "the request line is longer than " + std::to_string(limits.line_bytes) + " bytes");
        }
        if (feed == std::string_view::npos) {
            scanned = window.size();
            if (head.size() < limits.header_bytes) return Step::more;
            return refuse(431, "request line and headers are larger than " +
                                   std::to_string(limits.header_bytes) + " bytes");
        }
        if (!with_cr) return refuse(400, "a line of the request's head does not end with CR LF");
        scanned = feed + 1;
        if (length == 0) {
            end = scanned;
            return Step::whole;
        }
        line = scanned;
        first_line = false;
    }
}

RequestReader::Step RequestReader::Impl::take_head(std::string_view view, size_t& used) {
    // Empty lines before a request are to be ignored (RFC 9112, 2.2).
    while (view.substr(used).starts_with("\r\n")) {
        used += 2;
        scanned = 0;
    }
    const std::string_view head = view.substr(used);
    if (head.empty()) return Step::more;
    // Who begins with TLS waits for an answer, and has no line to end.
    if (head.front() == tls_handshake) {
        parser.reset();
        return refuse(400, "this is TLS, which is not spoken here: the address is http://, not https://");
    }
    size_t end = 0;
    if (const Step step = scan_head(head, end); step != Step::whole) {
        if (step == Step::refused) parser.reset();  // what it knows is of the request before
        return step;
    }
    const Step step = parse_head(head.substr(0, end));
    used += end;
    if (step != Step::more) return step;
    where = Where::body;
    scanned = line = 0;
    if (parser->expects) return Step::proceed;
    return take_body(view, used);
}

// `whole`: and there is no body; `more`: and there is one.
RequestReader::Step RequestReader::Impl::parse_head(std::string_view head) {
    request = std::make_shared<Request>();
    parser.emplace(limits, *request);
    if (other_version(head.substr(0, head.find("\r\n")))) {
        return refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    beast::error_code ec;
    const size_t parsed = parser->put(boost::asio::const_buffer(head.data(), head.size()), ec);
    if (ec && parser->refusal.status == 0) parser->refusal = refusal_of(ec, parser->most);
    if (!ec && (parsed != head.size() || !parser->is_header_done())) {
        parser->refuse(400, "this is not a well-formed HTTP/1.1 request");
    }
    if (parser->refusal.status != 0) return refuse(parser->refusal.status, std::move(parser->refusal.why));
    return parser->is_done() ? Step::whole : Step::more;
}

RequestReader::Step RequestReader::Impl::take_body(std::string_view view, size_t& used) {
    while (!parser->is_done()) {
        std::string_view part = view.substr(used);
        if (!part.empty() && parser->chunked() && parser->chunk_left == 0) {
            size_t end = 0;
            if (const Step step = scan_coding(part, end); step != Step::whole) return step;
            part = part.substr(0, end);
        } else if (parser->chunked()) {
            part = part.substr(0, parser->chunk_left);
        }
        if (part.empty()) return Step::more;
        beast::error_code ec;
        const size_t parsed = parser->put(boost::asio::const_buffer(part.data(), part.size()), ec);
        if (!ec && parser->chunked() && parsed != part.size()) ec = http::error::bad_chunk;
        if (ec) {
            Refusal why = std::move(parser->refusal);
            if (why.status == 0)
                why = refusal_of(ec == http::error::need_more ? http::error::bad_chunk : ec, parser->most);
            request.reset();
            return refuse(why.status, std::move(why.why));
        }
        used += parsed;
    }
    return Step::whole;
}

// Looks for the end of what stands before the bytes of a chunk: its line, or with the last chunk all lines to
// the end of the trailers. The parser gets it in one piece: shown a part, it would look for the end of a
// quoted text in the next.
RequestReader::Step RequestReader::Impl::scan_coding(std::string_view part, size_t& end) {
    const std::string_view window = part.substr(0, limits.header_bytes);
    // The line end of the chunk before belongs to it.
    const size_t begin = between_chunks ? 2 : 0;
    if (scanned < begin) scanned = line = begin;
    for (;;) {
        const size_t feed = window.size() < begin ? std::string_view::npos : window.find('\n', scanned);
        if (feed == std::string_view::npos) {
            scanned = std::max(window.size(), begin);
            if (part.size() < limits.header_bytes) return Step::more;
            return refuse(413, "a chunk's line or the trailers are larger than " +
                                   std::to_string(limits.header_bytes) + " bytes");
        }
        const bool is_last = line > begin || is_last_chunk(window.substr(begin, feed - begin));
        const bool is_empty = line > begin && feed - line <= 1;
        scanned = line = feed + 1;
        if (is_last && !is_empty) continue;
        end = scanned;
        coding_bytes += end;
        if (coding_bytes > parser->most + limits.header_bytes) {
            return refuse(413, "the body's chunked coding takes more room than a body may have");
        }
        between_chunks = true;
        scanned = line = 0;
        return Step::whole;
    }
}

void RequestReader::abandon() {
    impl_->where = Impl::Where::refused;
    impl_->request.reset();
    base::give_back(impl_->partial);
}

bool RequestReader::started() const {
    return impl_->where == Impl::Where::body || !impl_->partial.empty();
}
size_t RequestReader::progress() const {
    if (impl_->where != Impl::Where::body) return 0;
    return impl_->request->body.size() / std::max<size_t>(impl_->limits.body_bytes, 1);
}
std::shared_ptr<Request> RequestReader::request() {
    return std::move(impl_->request);
}
bool RequestReader::keep_alive() const {
    return impl_->parser->keep_alive();
}
bool RequestReader::http10() const {
    return impl_->parser && impl_->parser->version == 10;
}
bool RequestReader::head_only() const {
    return impl_->parser && impl_->parser->head_only;
}
int RequestReader::status() const {
    return impl_->refusal.status;
}
const std::string& RequestReader::why() const {
    return impl_->refusal.why;
}

}  // namespace gorb::rest
