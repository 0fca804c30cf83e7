// Text and numbers as HTML: escaped, in the same form all over the page.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace zerorun::page {

// For text and for attributes in double quotes. What is no UTF-8, and control characters but the end of line and the tabulator, becomes U+FFFD.
std::string escaped(std::string_view text);

// 1 234 567, with narrow spaces that do not break.
std::string grouped(int64_t value);
// Four significant digits, as people write them: 0.05123, 4.813, 1 234 567, 2.1e-05; "no number" for what is not finite.
std::string rounded(double value);
std::string seconds(double value);  // "820 ms", "1.23 s", "3.4 min"
// "35.14 MiB"
std::string readable(int64_t bytes);

// The exact value for programs that read the page, in <data>, around what people read.
std::string data(int64_t value, const std::string& shown);
std::string data(double value, const std::string& shown);
std::string exact_bytes(int64_t bytes);  // grouped, as data
// A table, which may be wider than the window, in a box that scrolls, also from the keyboard. `style`: of the table; `head` and `rows`: <tr>s.
std::string table(std::string_view label, const std::string& head, const std::string& rows, std::string_view style = "");
// "2 ranks", "1 rank"
std::string counted(int64_t count, std::string_view what);

}  // namespace zerorun::page
