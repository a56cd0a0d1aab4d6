/* matern.h: the Matérn correlation of any smoothness, and K_ν behind it (matern.md).
 *
 *   ρ(s) = 2^(1-ν)/Γ(ν) s^ν K_ν(s),  s = distance/length >= 0, 0 < ν <= SKY_MATERN_MOST
 *
 * Pure functions, callable from any thread. NaN where s or ν is NaN. */
#ifndef SKY_ALGORITHMS_MATERN_H
#define SKY_ALGORITHMS_MATERN_H

#define SKY_MATERN_MOST 100.0 /* smoothness up to which 1e-13 is tested */

/* 1 at s = 0, falls to 0 without overflow or negative values. */
double sky_matern(double nu, double s);
/* -s dρ/ds = 2^(1-ν)/Γ(ν) s^(ν+1) K_ν-1(s): the derivative by log length. */
double sky_matern_slope(double nu, double s);
/* The s from which ρ is below `least`, 0 < least < 1. */
double sky_matern_reach(double nu, double least);
#endif
