#include "reply.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>

#include "head.h"
#include "words.h"

namespace pulse_http {

namespace http = boost::beast::http;
using boost::beast::error_code;

// Beast's parser without Beast's containers: what nobody wants to know is not kept.
struct ReplyReader::Parser final : http::basic_parser<false> {
    explicit Parser(ReplyReader& r) : reader(r) {
        eager(true);
        header_limit(most_head);
        body_limit(boost::none);  // ours is kept by `reader`
        if (r.wanted_.to_head) skip(true);
    }

    using View = boost::beast::string_view;
    static std::string_view std_view(View text) { return {text.data(), text.size()}; }

    void on_request_impl(http::verb, View, View, int, error_code&) override {}
    void on_response_impl(int code, View, int, error_code&) override { status = code; }
    void on_field_impl(http::field name, View name_text, View value, error_code&) override {
        if (in_trailer) return;
        if (name == http::field::location && status >= 300 && status < 400)
            reader.location_ = printable(std_view(value), 120);
        if (reader.wanted_.headers)
            reader.wanted_.headers->see(std_view(name_text), std_view(value), reader.seen_);
    }
    void on_header_impl(error_code&) override { in_trailer = true; }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    size_t on_body_impl(View bytes, error_code& error) override {
        const size_t room =
            reader.wanted_.body_limit - std::min(reader.wanted_.body_limit, reader.body_size_);
        if (reader.wanted_.keep_body) reader.body_.append(bytes.data(), std::min(bytes.size(), room));
        reader.body_size_ += bytes.size();
        if (bytes.size() > room) {  // what follows is not looked at, however much of it is here already
            reader.cut_ = true;
            error = http::error::body_limit;
        }
        return bytes.size();
    }
    void on_chunk_header_impl(std::uint64_t, View, error_code&) override {}
    size_t on_chunk_body_impl(std::uint64_t, View bytes, error_code& error) override {
        return on_body_impl(bytes, error);
    }
    void on_finish_impl(error_code&) override {}

    ReplyReader& reader;
    int status = 0;
    bool in_trailer = false;
};

// The least that follows where a chunk's head may stand: "0" and two line ends. A parser that lacked bytes
// there aborts when it is shown fewer (Boost.Beast, parse_chunk_header()).
constexpr size_t least_of_chunks = 5;

// Some servers write no reason, and leave out the blank before it as well, which the parser insists on.
// Everybody else reads it.
constexpr std::string_view bare_line = "HTTP/1.1 200\r\n";

const char* const too_long = "the reply's headers are longer than 16 KiB";
static_assert(most_head == size_t{16} * 1024);

// Small servers end their lines with LF alone, which the parser does not know.
struct Lines {
    size_t size = 0;    // up to and with the empty line; 0: it has not come
    bool bare = false;  // does one of them end so?
};

Lines lines_of_head(std::string_view text) {
    Lines lines;
    for (size_t at = 0;;) {
        const size_t end = text.find('\n', at);
        if (end == std::string_view::npos) return lines;
        const bool usual = end > at && text[end - 1] == '\r';
        lines.bare = lines.bare || !usual;
        if (end - at == (usual ? 1 : 0)) {
            lines.size = end + 1;
            return lines;
        }
        at = end + 1;
    }
}

std::string with_usual_ends(std::string_view lines) {
    std::string out;
    for (const char c : lines) {
        if (c == '\n' && (out.empty() || out.back() != '\r')) out += '\r';
        out += c;
    }
    return out;
}

std::string fault_of_head(const std::string& where, const error_code& error) {
    if (error == http::error::header_limit) return too_long;
    return "not an HTTP reply (" + where + error.message() + ")";
}

struct ReplyReader::Slot {
    std::optional<Parser> parser;
};

ReplyReader::ReplyReader() : slot_(std::make_unique<Slot>()) {
    begin({});
}
ReplyReader::~ReplyReader() = default;

void ReplyReader::next_parser() {
    slot_->parser.emplace(*this);
    line_read_ = starved_ = closes_ = false;
    for (HeaderRules::Seen& one : seen_) one = {};
    location_.clear();
}

void ReplyReader::begin(const Wanted& wanted) {
    constexpr size_t spare = 16 * 1024;  // memory of an unusually large body is given back
    wanted_ = wanted;
    state_ = State::head;
    status_ = interim_ = 0;
    body_size_ = 0;
    begun_ = cut_ = excess_ = false;
    if (body_.capacity() > spare) std::string().swap(body_);  // clear() keeps it
    body_.clear();
    problem_.clear();
    seen_.resize(wanted.headers ? wanted.headers->size() : 0);
    next_parser();
}

size_t ReplyReader::bad(std::string problem, size_t size) {
    state_ = State::bad;
    problem_ = std::move(problem);
    return size;
}

// The parser has a whole head, perhaps of an interim reply.
void ReplyReader::head_done() {
    const int status = slot_->parser->status;
    if (status >= 100 && status < 200 && status != 101) {
        if (++interim_ > most_interim) {
            bad("more than " + std::to_string(most_interim) + " interim replies", 0);
        } else {
            next_parser();
        }
        return;
    }
    if (status < 100) {
        bad("not an HTTP reply (status " + std::to_string(status) + ")", 0);
        return;
    }
    status_ = status;
    state_ = State::body;
    const auto length = slot_->parser->content_length();
    const bool body_follows = !slot_->parser->is_done();
    // Nobody wants it and it is too long to be worth reading for the sake of the connection.
    if (body_follows && !wanted_.keep_body && length && *length > wanted_.body_limit) cut_ = true;
}

// A whole line. False when it is none of an HTTP reply.
bool ReplyReader::read_status_line(std::string_view line) {
    std::string changed;
    if (!line.ends_with("\r\n") || line.size() == bare_line.size()) {
        changed = line.substr(0, line.size() - (line.ends_with("\r\n") ? 2 : 1));
        if (changed.size() == bare_line.size() - 2) changed += ' ';
        line = changed += "\r\n";
    }
    error_code error;
    slot_->parser->eager(false);
    const size_t read = slot_->parser->put(boost::asio::const_buffer(line.data(), line.size()), error);
    // It also wants more where a line has ended too early.
    line_read_ = error == http::error::need_more && read == line.size();
    if (error == http::error::need_more) error = http::error::bad_status;
    if (!line_read_) bad(fault_of_head("", error), 0);
    return line_read_;
}

// The lines behind it, all of them. False when they are none of an HTTP reply.
bool ReplyReader::read_fields(std::string_view lines, bool bare) {
    const std::string usual = bare ? with_usual_ends(lines) : std::string();
    if (bare) lines = usual;
    const Fields fields = for_parser(lines, [this](std::string_view name, std::string_view value) {
        if (wanted_.headers) wanted_.headers->see(name, value, seen_);
    });
    closes_ = fields.close;
    if (fields.text) lines = *fields.text;
    error_code error;
    // Up to the head's end: what becomes of the body is known only then.
    slot_->parser->eager(false);
    const size_t read = slot_->parser->put(boost::asio::const_buffer(lines.data(), lines.size()), error);
    if (error) {
        const std::string name = printable(field_name(lines.substr(read)), 40);
        bad(fault_of_head(name.empty() ? "" : "header " + name + ": ", error), 0);
        return false;
    }
    head_done();
    return true;
}

size_t ReplyReader::feed(std::string_view bytes) {
    begun_ = begun_ || !bytes.empty();
    size_t used = 0;
    while (state_ == State::head || state_ == State::body) {
        Parser& parser = *slot_->parser;
        if (state_ == State::body && (cut_ || parser.is_done())) {
            state_ = State::done;
            break;
        }
        if (used == bytes.size()) return used;
        if (starved_ && bytes.size() - used < least_of_chunks) return used;
        // The parser would wait for the end of a line that another protocol's server may never send.
        constexpr std::string_view magic = "HTTP/";
        const std::string_view rest = bytes.substr(used);
        if (!line_read_ && rest.substr(0, magic.size()) != magic.substr(0, rest.size()))
            return bad("not an HTTP reply (it begins with \"" + printable(rest.substr(0, 24), 24) + "\")",
                       bytes.size());

        if (!line_read_) {
            const size_t end = rest.find('\n');
            if (end == std::string_view::npos && rest.size() <= most_head) return used;
            if (end > most_head) return bad(too_long, bytes.size());
            if (!read_status_line(rest.substr(0, end + 1))) return bytes.size();
            used += end + 1;
            continue;
        }
        if (state_ == State::head) {
            const Lines lines = lines_of_head(rest);
            if ((lines.size ? lines.size : rest.size()) > most_head) return bad(too_long, bytes.size());
            if (lines.size == 0) return used;
            if (!read_fields(rest.substr(0, lines.size), lines.bare)) return bytes.size();
            used += lines.size;
            continue;
        }

        error_code error;
        parser.eager(true);
        const size_t now = parser.put(boost::asio::const_buffer(rest.data(), rest.size()), error);
        used += now;
        if (cut_) continue;
        starved_ = error == http::error::need_more;
        if (starved_) {
            if (bytes.size() - used > most_head)
                return bad("the reply's chunks have headers longer than 16 KiB", bytes.size());
            return used;
        }
        if (error) return bad("the reply's body is broken (" + error.message() + ")", bytes.size());
    }
    excess_ = excess_ || used < bytes.size();
    return bytes.size();
}

void ReplyReader::end() {
    if (state_ == State::body && slot_->parser->need_eof()) state_ = State::done;
}

bool ReplyReader::server_closes() const {
    return !slot_->parser->keep_alive();
}

bool ReplyReader::reusable() const {
    return state_ == State::done && !cut_ && !excess_ && status_ != 101 && !closes_ && !server_closes();
}

}  // namespace pulse_http
