#include "session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>
#include <new>

namespace pulse_grpc {
namespace {

struct FreeCallbacks {
    void operator()(nghttp2_session_callbacks* c) const { nghttp2_session_callbacks_del(c); }
};
struct FreeOption {
    void operator()(nghttp2_option* o) const { nghttp2_option_del(o); }
};

nghttp2_nv pair(std::string_view name, std::string_view value) {
    const auto bytes = [](std::string_view text) {
        return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}
void worked(int rc) {
    if (rc == NGHTTP2_ERR_NOMEM) throw std::bad_alloc();
}
std::optional<int> number(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
    return value;
}

}  // namespace

struct Session::Callbacks {
    static Session& of(void* self) { return *static_cast<Session*>(self); }

    static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void* arg) {
        Session& self = of(arg);
        if (frame->hd.stream_id != self.stream_) return 0;
        self.headers_ += name_size + value_size + 32;
        if (self.headers_ > most_headers) {
            self.bad("the answer's headers are longer than " + std::to_string(most_headers / 1024) + " KiB");
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
        const std::string_view key(reinterpret_cast<const char*>(name), name_size);
        const std::string_view text(reinterpret_cast<const char*>(value), value_size);
        Outcome& out = self.outcome_;
        if (key == ":status") out.http_status = number(text).value_or(0);
        if (key == "grpc-status") out.grpc_status = number(text).value_or(2);  // 2: UNKNOWN, as gRPC has it
        if (key == "grpc-message") out.grpc_message = text.substr(0, 512);
        if (key == "content-type") out.content_type = text.substr(0, 128);
        return 0;
    }
    static int data(nghttp2_session*, uint8_t, int32_t stream, const uint8_t* bytes, size_t size, void* arg) {
        Session& self = of(arg);
        if (stream != self.stream_) return 0;
        if (self.outcome_.body.size() + size > most_body) {
            self.bad("the answer is longer than " + std::to_string(most_body / 1024) + " KiB");
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
        self.outcome_.body.append(reinterpret_cast<const char*>(bytes), size);
        return 0;
    }
    static int frame(nghttp2_session*, const nghttp2_frame* frame, void* arg) {
        if (frame->hd.type == NGHTTP2_GOAWAY) {
            const nghttp2_goaway& away = frame->goaway;
            of(arg).goodbye(away.error_code,
                            {reinterpret_cast<const char*>(away.opaque_data), away.opaque_data_len});
        }
        if (frame->hd.type == NGHTTP2_SETTINGS) of(arg).greeted_ = true;
        if (frame->hd.type == NGHTTP2_RST_STREAM && frame->hd.stream_id == of(arg).stream_)
            of(arg).reset_ = true;
        return 0;
    }
    static int stream_close(nghttp2_session*, int32_t stream, uint32_t code, void* arg) {
        Session& self = of(arg);
        if (stream != self.stream_ || !self.open_) return 0;
        self.open_ = false;
        if (code != NGHTTP2_NO_ERROR && !self.reset_ && !self.goaway_) {
            // nghttp2 has ended the call itself.
            self.breaks(nghttp2_http2_strerror(code));
            return 0;
        }
        self.ended_ = true;
        self.outcome_.reset = code;
        return 0;
    }
    static int error(nghttp2_session*, int, const char* words, size_t size, void* arg) {
        Session& self = of(arg);
        if (self.first_.empty()) self.first_ = printable({words, size}, 120);
        return 0;
    }
    static ssize_t read_request(nghttp2_session*, int32_t, uint8_t* buffer, size_t room, uint32_t* flags,
                                nghttp2_data_source*, void* arg) {
        Session& self = of(arg);
        const size_t size = std::min(room, self.request_.size() - self.sent_);
        std::copy_n(self.request_.data() + self.sent_, size, buffer);
        self.sent_ += size;
        if (self.sent_ == self.request_.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
        return static_cast<ssize_t>(size);
    }
    // One table for all sessions.
    static const nghttp2_session_callbacks* table() {
        static const std::unique_ptr<nghttp2_session_callbacks, FreeCallbacks> made = [] {
            nghttp2_session_callbacks* raw = nullptr;
            worked(nghttp2_session_callbacks_new(&raw));
            nghttp2_session_callbacks_set_on_header_callback(raw, &header);
            nghttp2_session_callbacks_set_on_data_chunk_recv_callback(raw, &data);
            nghttp2_session_callbacks_set_on_frame_recv_callback(raw, &frame);
            nghttp2_session_callbacks_set_on_stream_close_callback(raw, &stream_close);
            nghttp2_session_callbacks_set_error_callback2(raw, &error);
            return std::unique_ptr<nghttp2_session_callbacks, FreeCallbacks>(raw);
        }();
        return made.get();
    }
    static const nghttp2_option* options() {
        static const std::unique_ptr<nghttp2_option, FreeOption> made = [] {
            nghttp2_option* raw = nullptr;
            worked(nghttp2_option_new(&raw));
            nghttp2_option_set_max_outbound_ack(raw, 64);
            nghttp2_option_set_max_deflate_dynamic_table_size(raw, 0);
            nghttp2_option_set_no_closed_streams(raw, 1);
            return std::unique_ptr<nghttp2_option, FreeOption>(raw);
        }();
        return made.get();
    }
};

void Session::Free::operator()(nghttp2_session* session) const {
    nghttp2_session_del(session);
}

Session::Session() {
    nghttp2_session* raw = nullptr;
    worked(nghttp2_session_client_new2(&raw, Callbacks::table(), this, Callbacks::options()));
    session_.reset(raw);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                               {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, most_body},
                                               {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, most_headers}};
    worked(nghttp2_submit_settings(raw, NGHTTP2_FLAG_NONE, settings, std::size(settings)));
}
Session::~Session() = default;

void Session::bad(const std::string& words) {
    if (problem_.empty()) problem_ = words;
}

// In nghttp2's words, or else in these.
void Session::breaks(const std::string& otherwise) {
    const std::string& words = first_.empty() ? otherwise : first_;
    bad("the server breaks HTTP/2" + (words.empty() ? "" : " (" + words + ")"));
}

void Session::goodbye(uint32_t code, std::string_view text) {
    goaway_ = true;
    outcome_.goodbye = std::string("the server says goodbye (") + nghttp2_http2_strerror(code) +
                       (text.empty() ? "" : ": ") + printable(text, 100) + ")";
}

bool Session::usable() const {
    return problem_.empty() && !goaway_ && !open_ &&
           nghttp2_session_check_request_allowed(session_.get()) != 0;
}

bool Session::refused() const {
    return ended_ && !begun() && outcome_.reset == NGHTTP2_REFUSED_STREAM;  // by GOAWAY too, RFC 9113, 8.7
}

void Session::call(const Request& request) {
    outcome_ = {};
    request_ = request.message;
    sent_ = headers_ = received_ = 0;
    ended_ = reset_ = false;
    first_.clear();
    const nghttp2_nv headers[] = {pair(":method", "POST"),
                                  pair(":scheme", request.scheme),
                                  pair(":path", "/grpc.health.v1.Health/Check"),
                                  pair(":authority", request.authority),
                                  pair("content-type", "application/grpc"),
                                  pair("te", "trailers"),
                                  pair("user-agent", request.agent)};
    nghttp2_data_provider body{};
    body.read_callback = &Callbacks::read_request;
    stream_ = nghttp2_submit_request(session_.get(), nullptr, headers, std::size(headers), &body, nullptr);
    worked(stream_);
    open_ = stream_ > 0;
    if (!open_) bad("the call could not be made (" + std::string(nghttp2_strerror(stream_)) + ")");
}

std::string Session::output() {
    std::string out;
    while (problem_.empty()) {
        const uint8_t* bytes = nullptr;
        const ssize_t size = nghttp2_session_mem_send(session_.get(), &bytes);
        if (size <= 0) {
            if (size < 0)
                bad("nothing can be sent (" + std::string(nghttp2_strerror(static_cast<int>(size))) + ")");
            break;
        }
        out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    }
    // nghttp2 has given up, and said GOAWAY for it.
    if (open_ && problem_.empty() && nghttp2_session_want_read(session_.get()) == 0)
        greeted_ ? breaks("") : bad("the server does not speak HTTP/2 (it begins with \"" + begins_ + "\")");
    return out;
}

void Session::feed(std::string_view bytes) {
    if (!problem_.empty()) return;
    if (received_ == 0 && stream_ == 1 && bytes.substr(0, 5) == "HTTP/")
        return bad("the server speaks HTTP/1, not HTTP/2");
    if (!greeted_ && begins_.size() < 24) begins_ += printable(bytes.substr(0, 24 - begins_.size()), 24);
    received_ += bytes.size();
    if (received_ > most_bytes)
        return bad("more than " + std::to_string(most_bytes / 1024) + " KiB came, and the call did not end");
    const ssize_t used = nghttp2_session_mem_recv(
        session_.get(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    if (used < 0) {
        worked(static_cast<int>(used));
        return bad("the server breaks HTTP/2 (" + std::string(nghttp2_strerror(static_cast<int>(used))) +
                   ")");
    }
}

}  // namespace pulse_grpc
