/* plots.h: plots of a forest inventory as Tier 2 factors of a class, instead of the defaults of its
 * set.
 *
 * Columns: class (1 to 11), biomass_t_c_ha (all living biomass), gain_t_c_ha_yr (net of mortality;
 * optional), weight (area that a plot stands for; optional, 1). Equations in plots.md. */
#ifndef SKY_ALGORITHMS_SINK_PLOTS_H
#define SKY_ALGORITHMS_SINK_PLOTS_H

#include "algorithms/sink/factors.h"

typedef struct sky_plot_mean {
  size_t n;
  double mean;
  double sd;       /* of the mean */
  double place_sd; /* of one plot about it */
} sky_plot_mean;

/* Of n >= 2 plots with weights > 0. */
sky_plot_mean sky_plots_mean(const double *value, const double *weight, size_t n);

/* Replaces biomass, and growth if it is given, of the classes that have plots. SKY_E_RANGE: a class
 * with one plot, values that are missing or below 0 (biomass), weights that are not above 0. */
SKY_NODISCARD sky_status sky_sink_set_use_plots(sky_context *ctx, const sky_table *table,
                                                const char *path, sky_sink_set *set);
#endif
