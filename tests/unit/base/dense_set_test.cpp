#include "base/dense_set.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>

namespace gorb::base::dense_set_test {
namespace {

struct Thing {
    std::string key;
    std::unique_ptr<int> value;
};
struct KeyOf {
    const std::string& operator()(const Thing& thing) const { return thing.key; }
};
// As bad as can be: nearly all keys collide.
struct BadHash {
    size_t operator()(const std::string& key) const { return key.size(); }
};

template <class Hash>
void compare_with_std(uint64_t seed, uint64_t keys) {
    std::mt19937_64 random(seed);
    DenseSet<Thing, KeyOf, Hash> set;
    std::map<std::string, int> model;
    for (int i = 0; i < 6'000; ++i) {
        const std::string key = "k" + std::to_string(random() % keys);
        // Times in which it grows, and times in which it becomes small again.
        const bool more = random() % 10 < (i / 1'000 % 2 == 0 ? 7U : 3U);
        if (more) {
            Thing& put = set.insert({key, std::make_unique<int>(i)});
            ASSERT_EQ(put.key, key);
            model[key] = i;
        } else {
            ASSERT_EQ(set.erase(key), model.erase(key) == 1);
        }
        ASSERT_EQ(set.size(), model.size());
        const std::string other = "k" + std::to_string(random() % keys);
        const Thing* found = set.find(other);
        const auto expected = model.find(other);
        ASSERT_EQ(found != nullptr, expected != model.end());
        ASSERT_TRUE(!found || *found->value == expected->second);
    }
    std::map<std::string, int> left;
    set.for_each([&](const Thing& thing) { left.emplace(thing.key, *thing.value); });
    EXPECT_EQ(left, model);
    for (const auto& [key, value] : model) EXPECT_TRUE(set.erase(key));
    EXPECT_TRUE(set.empty());
}

TEST(DenseSet, ItIsASetWhateverTheHash) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        compare_with_std<std::hash<std::string>>(seed, 2'000);
        compare_with_std<std::hash<std::string>>(seed, 12);
        compare_with_std<BadHash>(seed, 150);
    }
}

}  // namespace
}  // namespace gorb::base::dense_set_test
