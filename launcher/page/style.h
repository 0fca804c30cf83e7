// How the page looks, in light and in dark, in wide and in narrow windows.
#pragma once

namespace zerorun::page {

extern const char* const kStyle;  // CSS

}  // namespace zerorun::page
