#include "arguments.h"

#include <rapidjson/document.h>

// RapidJSON 1.1 asks whether its stack has room by adding to a pointer that is null at first, which is
// undefined behaviour and ends a program built with UBSan. The same question, by subtraction, for the three
// types that it puts there.
namespace rapidjson::internal {

using CrtStack = Stack<CrtAllocator>;
template <>
template <>
inline void CrtStack::Reserve<char>(size_t count) {
    if (static_cast<size_t>(stackEnd_ - stackTop_) < count) Expand<char>(count);
}
template <>
template <>
inline void CrtStack::Reserve<SizeType>(size_t count) {
    if (static_cast<size_t>(stackEnd_ - stackTop_) < sizeof(SizeType) * count) Expand<SizeType>(count);
}
template <>
template <>
inline void CrtStack::Reserve<Value>(size_t count) {
    if (static_cast<size_t>(stackEnd_ - stackTop_) < sizeof(Value) * count) Expand<Value>(count);
}

}  // namespace rapidjson::internal

namespace pulse_exec {

namespace {

using gorb::sdk::Error;

constexpr const char* known[] = {"address", "backend", "family", "port", "service"};

bool is_known(std::string_view word) {
    return std::find(std::begin(known), std::end(known), word) != std::end(known);
}

// The word of a placeholder, {word} of small letters, that begins at `at`; "" where none does.
std::string_view placeholder(std::string_view text, size_t at) {
    if (text[at] != '{') return {};
    size_t end = at + 1;
    while (end < text.size() && text[end] >= 'a' && text[end] <= 'z') ++end;
    if (end == text.size() || text[end] != '}') return {};
    return text.substr(at + 1, end - at - 1);
}

void check_placeholders(std::string_view text) {
    for (size_t at = 0; at < text.size(); ++at) {
        const std::string_view word = placeholder(text, at);
        if (word.empty() || is_known(word)) continue;
        throw Error("\"arguments\": {" + std::string(word.substr(0, 32)) +
                    "} stands for nothing; there are {address}, {port}, {family}, {service} and {backend}");
    }
}

std::string text_of(const rapidjson::Value& value) {
    if (value.IsString()) return {value.GetString(), value.GetStringLength()};
    if (value.IsInt64()) return std::to_string(value.GetInt64());
    throw Error("\"arguments\" must be an array of texts");
}

}  // namespace

Values values_of(const gorb::sdk::Target& target) {
    return {{"address", gorb::sdk::to_string(target.address())},
            {"backend", std::string(target.backend())},
            {"family", std::to_string(target.address().family)},
            {"port", std::to_string(target.address().port)},
            {"service", std::string(target.service())}};
}

std::vector<std::string> read_arguments(std::string_view json) {
    std::vector<std::string> texts;
    if (json.empty()) return texts;
    rapidjson::Document document;
    // Iterative: however deep somebody nests, the stack is not what gives way.
    document.Parse<rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag>(json.data(),
                                                                                           json.size());
    if (document.HasParseError() || !document.IsArray())
        throw Error("\"arguments\" must be an array of texts, for example [\"-H\", \"{address}\"]");
    if (document.Size() > most_arguments)
        throw Error("\"arguments\" has more than " + std::to_string(most_arguments) + " elements");
    size_t bytes = 0;
    for (const auto& element : document.GetArray()) {
        texts.push_back(text_of(element));
        const std::string& text = texts.back();
        if (text.find('\0') != std::string::npos) throw Error("\"arguments\": a text holds a NUL character");
        check_placeholders(text);
        bytes += text.size();
    }
    if (bytes > most_argument_bytes)
        throw Error("\"arguments\" is longer than " + std::to_string(most_argument_bytes) + " bytes");
    return texts;
}

std::string filled(std::string_view text, const Values& values) {
    std::string out;
    for (size_t at = 0; at < text.size();) {
        const std::string_view word = placeholder(text, at);
        const auto value = word.empty() ? values.end() : values.find(word);
        if (value == values.end()) {
            out += text[at++];
        } else {
            out += value->second;
            at += word.size() + 2;
        }
    }
    return out;
}

}  // namespace pulse_exec
