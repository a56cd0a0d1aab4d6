/* units.h: field units at the edges, SI inside (udunits2 with our own additions).
 *
 * Known beside udunits2's own: ppm, ppb, ppt (mole fraction), molec (1/N_A mol), tCO2-style masses
 * are NOT units. Spelling variants of real files are repaired first ("moleccm-2s-1",
 * "Degrees_east", "(mol/mol)/(mol/m2/s)", "ppm (umol-1 m2 s)", "none", ""). Thread-safe. */
#ifndef SKY_CORE_UNITS_H
#define SKY_CORE_UNITS_H

#include "skyflux/context.h"

/* to = scale*from + offset. SKY_E_UNITS names both units if they do not convert. */
SKY_NODISCARD sky_status sky_units_convert(sky_context *ctx, const char *from, const char *to,
                                           double *scale, double *offset);

/* Factor from a surface flux unit to mol m-2 s-1 for a gas ("ch4"): amount (mol, molec) or mass
 * (kg, g, t) per area and time; mass is divided by the molar mass of species.h. */
SKY_NODISCARD sky_status sky_units_flux(sky_context *ctx, const char *from, const char *gas,
                                        double *to_mol_m2_s);

/* True if udunits2 (with our additions) parses it. */
bool sky_units_valid(const char *unit);

/* Parse "1 km", "20 ppb", "0.5", "1 degree" into the SI-like unit `want`; a bare number is in
 * `bare` (NULL: a unit is required unless want is "1"). SKY_E_UNITS with the value on failure. */
SKY_NODISCARD sky_status sky_units_quantity(sky_context *ctx, const char *text, const char *want,
                                            const char *bare, double *value);
#endif
