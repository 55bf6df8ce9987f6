/** How far the wall clock of a member of a cluster may be off, jumps included, but for leaps. */
export const SKEW_MS_MAX = 20_000;

/** How far a wall clock leaps: by more than design 9 believes any clock to be wrong (60 s, and what others are off themselves), and by less than makes a node refuse what is pushed now. */
export const LEAP_MS_MIN = 150_000;
export const LEAP_MS_MAX = 400_000;
