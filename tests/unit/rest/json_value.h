// A JSON document as tests read it: a member that is not there is a failure of the test, not a crash.
#pragma once
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <concepts>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace gorb::rest {

// fn(name, value) for each member. (The iterators' operators are ambiguous in C++20 to clang.)
template <class Value, class Fn>
void each_member(Value& object, Fn&& fn) {
    auto member = object.MemberBegin();
    for (size_t left = object.MemberCount(); left > 0; --left, ++member)
        fn(member->name.GetString(), member->value);
}

class Json {
  public:
    explicit Json(const std::string& text) {
        auto document = std::make_shared<rapidjson::Document>();
        document->Parse(text.data(), text.size());
        EXPECT_FALSE(document->HasParseError()) << text;
        value_ = document.get();
        document_ = std::move(document);
    }

    bool has(const char* name) const { return value_->IsObject() && value_->HasMember(name); }
    Json operator[](const char* name) const {
        EXPECT_TRUE(has(name)) << "there is no member " << name;
        return {document_, has(name) ? &(*value_)[name] : &null()};
    }
    Json at(size_t index) const {
        EXPECT_LT(index, size());
        return {document_, index < size() ? &(*value_)[static_cast<unsigned>(index)] : &null()};
    }
    std::vector<Json> elements() const {
        std::vector<Json> out;
        for (size_t i = 0; i < size(); ++i) out.push_back(at(i));
        return out;
    }
    std::vector<std::string> members() const {
        std::vector<std::string> out;
        each_member(*value_, [&](const char* name, const rapidjson::Value&) { out.emplace_back(name); });
        return out;
    }
    size_t size() const { return value_->IsArray() ? value_->Size() : 0; }

    bool is_null() const { return value_->IsNull(); }
    bool is_array() const { return value_->IsArray(); }
    bool is_object() const { return value_->IsObject(); }
    std::string text() const { return value_->IsString() ? value_->GetString() : "(no string)"; }
    double number() const { return value_->IsNumber() ? value_->GetDouble() : -1e300; }

    // The same type and value: 200 is neither "200" nor 200.5.
    friend bool operator==(const Json& a, const Json& b) { return a.value_->operator==(*b.value_); }
    friend bool operator==(const Json& a, const char* b) { return a.value_->IsString() && a.text() == b; }
    template <std::same_as<bool> T>
    friend bool operator==(const Json& a, T b) {
        return a.value_->IsBool() && a.value_->GetBool() == b;
    }
    friend bool operator==(const Json& a, int b) { return a.value_->IsInt() && a.value_->GetInt() == b; }
    friend bool operator==(const Json& a, double b) {
        return a.value_->IsNumber() && a.value_->GetDouble() == b;
    }
    friend std::ostream& operator<<(std::ostream& out, const Json& j) {
        if (j.value_->IsString()) return out << '"' << j.text() << '"';
        if (j.value_->IsNumber()) return out << j.number();
        if (j.value_->IsBool()) return out << (j.value_->GetBool() ? "true" : "false");
        return out << (j.is_null() ? "null" : j.is_array() ? "an array" : "an object");
    }

  private:
    Json(std::shared_ptr<const rapidjson::Document> document, const rapidjson::Value* value)
        : document_(std::move(document)), value_(value) {}
    static const rapidjson::Value& null() {
        static const rapidjson::Value value;
        return value;
    }

    std::shared_ptr<const rapidjson::Document> document_;
    const rapidjson::Value* value_;
};

}  // namespace gorb::rest
