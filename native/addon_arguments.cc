#include "addon_arguments.h"

#include <cstddef>
#include <cstdint>

#include "wire.h"

namespace abfs {

void ReadSettled(const Napi::Value& pairs, std::vector<SettledInode>* settled) {
  settled->clear();
  if (!pairs.IsTypedArray()) return;
  if (pairs.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) return;
  const Napi::Float64Array numbers = pairs.As<Napi::Float64Array>();
  for (size_t at = 0; at + 1 < numbers.ElementLength(); at += 2) {
    settled->push_back({static_cast<uint64_t>(numbers[at]), numbers[at + 1] != 0});
  }
}

bool IsUint8Array(const Napi::Value& value) {
  if (!value.IsTypedArray()) return false;
  return value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
}

void ReadTold(const Napi::Value& bytes, std::vector<ToldInode>* told) {
  told->clear();
  if (!IsUint8Array(bytes)) return;
  const Napi::Uint8Array array = bytes.As<Napi::Uint8Array>();
  const uint8_t* const from = array.Data();
  for (size_t at = 0; at + sizeof(fuse_attr_out) <= array.ByteLength();
       at += sizeof(fuse_attr_out)) {
    const auto attributes = ReadStruct<fuse_attr_out>(from + at);
    told->push_back({attributes, attributes.dummy != 0});
  }
}

std::vector<std::string> StringsOf(const Napi::Array& values) {
  std::vector<std::string> strings;
  for (uint32_t index = 0; index < values.Length(); ++index) {
    strings.push_back(values.Get(index).ToString().Utf8Value());
  }
  return strings;
}

}  // namespace abfs
