/* information.h: ready-made information of an IMI run: normal equations and labelled state vector.
 *
 * K'So⁻¹K and K'So⁻¹(y-F(xa)) with 1 state element per label (scale factors, prior 1) followed by
 * the boundary elements (ppb, prior 0). Source: Integrated Methane Inversion, inversion_result.nc
 * and StateVector.nc (Varon et al. 2022, GMD 15, 5787). */
#ifndef SKY_READ_INFORMATION_H
#define SKY_READ_INFORMATION_H

#include "grids/grid.h"

typedef struct sky_information {
  size_t n;           /* state elements */
  size_t n_boundary;  /* the last of them */
  double *F;          /* [n*n] K'So⁻¹K, symmetric */
  double *g;          /* [n]   K'So⁻¹(y-F(xa)) */
  double gamma;       /* regularisation, from the file */
  double prior_sd;    /* as the file states it (scale factors), NaN if absent */
  double boundary_sd; /* ppb, NaN if absent */
  sky_grid grid;
  int32_t *label; /* [cells] 1..n-n_boundary; 0 outside the state */
} sky_information;

/* Number of boundary elements = n - max label. SKY_E_FORMAT when labels and matrix disagree. */
SKY_NODISCARD sky_status sky_information_read(sky_context *ctx, const char *result_path,
                                              const char *state_path, sky_information *out);
void sky_information_free(sky_information *i);

#endif
