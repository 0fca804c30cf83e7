// A user's own header of a name that zerorun has too.
#pragma once

inline constexpr int kOfTheUser = 7;
