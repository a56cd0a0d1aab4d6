/* problem.h: a linear Gaussian inverse problem and its exact solution.
 *
 *   y = H x + B b + e,   x ~ N(x0, Q),  b ~ N(b0, diag(b_sd²)),  e ~ N(0, R)
 *   R = diag(r_sd²), or correlated along the track of an overpass
 *   Q = S (D ⊗ E) S,  state index = t*n_cell + cell,  S = diag(x_sd)
 *   or Q = F diag(s) Fᵀ + diag(v), s_k = ±1: low rank + diagonal, as bottom-up accounts state it
 *   or Q = Σ_k W_k C_k W_kᵀ: stationary fields on regular grids, averaged over the cells of a mesh
 *
 * Solved in observation space (Rodgers 2000, ch. 4; Michalak et al. 2004):
 * Ψ = HQHᵀ + B Σ_b Bᵀ + R, Ψw = d = y - Hx0 - Bb0, x̂ = x0 + QHᵀw. Units are free but consistent;
 * results do not depend on them (no constants are added to any diagonal). */
#ifndef SKYFLUX_PROBLEM_H
#define SKYFLUX_PROBLEM_H

#include "skyflux/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Spatial covariance above this many cells per time step is SKY_E_SIZE (dense E); low rank +
 * diagonal has no such limit. */
#define SKY_DENSE_CELL_LIMIT 5000

typedef enum sky_correlation_kind {
  SKY_CORR_NONE = 0,         /* identity */
  SKY_CORR_SPHERICAL = 1,    /* 1 - 1.5 h + 0.5 h³, h = d/L < 1, else 0 */
  SKY_CORR_EXPONENTIAL = 2,  /* exp(-d/L) */
  SKY_CORR_MATERN32 = 3,     /* (1 + h) exp(-h) */
  SKY_CORR_MATERN52 = 4,     /* (1 + h + h²/3) exp(-h) */
  SKY_CORR_GASPARI_COHN = 5, /* their eq. 4.10 with c = L/2: 0 from d = L on */
  SKY_CORR_MATERN = 6        /* 2^(1-nu)/Γ(nu) h^nu K_nu(h) */
} sky_correlation_kind;

typedef struct sky_correlation { /* a model; all zeros: none */
  sky_correlation_kind kind;
  double nu; /* smoothness of SKY_CORR_MATERN, > 0; else not looked at */
} sky_correlation;

typedef struct sky_levels sky_levels; /* a prior as an operator: stationary fields on a mesh */
typedef struct sky_track sky_track;   /* correlation of errors along the tracks of overpasses */

typedef struct sky_problem {
  size_t n_obs, n_state, n_cell, n_time; /* n_state = n_cell*n_time */
  size_t *rowptr;                        /* [n_obs+1] */
  int32_t *col;                          /* [nnz] state index, ascending in a row */
  double *val;                           /* [nnz] */
  double *y, *r_sd;                      /* [n_obs] */
  sky_track *track;                      /* owned, or NULL: errors are independent */
  double *x0, *x_sd;                     /* [n_state]; x_sd = sqrt(diag Q) */
  double *x_true;                        /* [n_state] or NULL */
  sky_correlation space, time;    /* models that E and D were made from, and their lengths; */
  double length_km, length_steps; /* length 0: not made from a model. Not used by the solver */
  double *E;                      /* [n_cell*n_cell] spatial correlation, row-major, symmetric */
  double *D;                      /* [n_time*n_time] temporal correlation */
  size_t n_sector;     /* E only: equal blocks of cells that repeat a mesh; 0 = one */
  double *mixing;      /* [n_sector*n_sector] with sectors: E = mixing x correlation; diagonal 1 */
  double *sector_reach; /* [n_sector] length of a sector over length_km, or NULL: 1 */
  size_t q_rank;       /* with q_var: Q = F diag(q_sign) Fᵀ + diag(q_var); E and D are NULL */
  double *q_factor;    /* [q_rank*n_state] rows of Fᵀ; NULL if q_rank = 0 */
  double *q_sign;      /* [q_rank] +1 or -1; the whole Q must be positive semi-definite */
  double *q_var;       /* [n_state] >= 0, or NULL: Kronecker form */
  sky_levels *levels;  /* owned, or NULL; Q as an operator, where E, D and q_var are NULL */
  double *xc, *yc;     /* [n_cell] cell centres, or NULL; not used by the solver */
  bool geographic;     /* xc, yc are longitude and latitude in degrees; else km */
  size_t n_background; /* columns of B: group offsets, then regressors; 0 = none */
  size_t n_regressor;  /* the last columns of B, e.g. albedo or airmass of a sounding */
  int32_t *group;      /* [n_obs] offset that each observation carries, -1 = none; NULL if none */
  double *regressor;   /* [n_regressor*n_obs] columns of B; NULL if none */
  double *b0, *b_sd;   /* [n_background] */
} sky_problem;

void sky_problem_free(sky_problem *p); /* NULL-safe, zeroes */

/* Linear functionals of the state whose totals are wanted: W [n_zone*n_state], row-major; constant
 * [n_zone] is added to totals (prior mass that the state cannot move). In the information form the
 * state has no Kronecker structure: n_cell = n, n_time = 1, prior E = identity, D is not used. */
typedef struct sky_functionals {
  size_t n_zone;
  const double *W;
  const double *constant; /* NULL = 0 */
  /* [n_state] what W is where a zone has all of an element; NULL: a zone has all of those that it
   * touches. W/whole is then the zone's share of an element. */
  const double *whole;
  /* Layers of the state, each n_cell/n_layer neighbouring cells of every time step; 0 = one. Q may
   * hold covariance between layers. A zone is about the layers that its row touches (W != 0):
   * its pattern p is x0 there, and what other layers do to its total is noise, with their prior
   * covariance. */
  size_t n_layer;
  /* The first n_sector layers (0 = one) are the parts of one flux whose sum the compared inventory
   * states. sector_share [n_sector*(n_cell/n_layer)]: how its flux in a cell is divided among them,
   * adding up to 1; NULL with one. A zone that touches them all is compared; its noise holds what
   * the prior thinks of other divisions (bayes.md §3). */
  size_t n_sector;
  const double *sector_share;
  /* Own covariance of the inventory that the zones are compared with, for the general test. It
   * covers the sum of the sectors (n = n_state/n_layer, c = n_cell/n_layer); other layers keep the
   * prior's. Either Kronecker with own sd and correlations, each NULL = the prior's, or low rank +
   * diagonal. Nothing given = the prior's Q. */
  const double *inventory_sd;                      /* [n] */
  const double *inventory_E;                       /* [c*c] */
  const double *inventory_D;                       /* [n_time*n_time] */
  size_t inventory_rank;                           /* with inventory_var */
  const double *inventory_factor, *inventory_sign; /* [inventory_rank*n], [inventory_rank] */
  const double *inventory_var;                     /* [n] or NULL: Kronecker form */
  /* Single unknowns are not asked for: an exact solution leaves out their sd and, unless zone_dofs
   * needs it, their averaging kernel (NaN), which cost more than all the rest. */
  bool totals_only;
} sky_functionals;

typedef struct sky_posterior {
  size_t n_state, n_obs, n_zone, n_background;
  double *x;                           /* [n_state] posterior mean */
  double *sd;                          /* [n_state] posterior sd */
  double *ak;                          /* [n_state] diagonal of the averaging kernel */
  double *b, *b_post_sd;               /* [n_background] */
  double *residual;                    /* [n_obs] y - Hx̂ - Bb̂ */
  double *simulated_prior, *simulated; /* [n_obs] Hx0+Bb0, Hx̂+Bb̂ */
  double dofs;                         /* of the state x: tr(K H) */
  double dofs_background;
  double chi2;             /* dᵀΨ⁻¹d; per observation chi2/n_obs */
  double jb, jo;           /* cost terms at the optimum (jb: state + background) */
  double neg_log_evidence; /* ½(dᵀΨ⁻¹d + log|Ψ| + n log 2π) */
  /* per zone [n_zone] */
  double *prior_total, *prior_sd, *total, *total_sd;
  double *zone_dofs; /* Σ ak over the state elements that the zone touches (W != 0): independent
                        pieces of information inside it; border elements count whole */
  double *zone_dofs_half; /* half width of its 95 % interval where it is an estimate; 0: exact */
  double *zone_reduction; /* 1 - (total_sd/prior_sd)²: DOFS of the one number that is the total */
  double *zone_sensitivity; /* aᵀA p / aᵀp for the prior pattern p = x0 (1 = fully observed); NaN if
                               aᵀx0 = 0 */
  double *zone_own_response; /* the same for a change along p inside the zone alone: what a change
                                elsewhere would lend the zone is left out */
  double *zone_noise_var;    /* aᵀK (R + BΣ_bBᵀ) Kᵀ a, and aᵀA Q Aᵀa over other layers */
  double *zone_inventory_var; /* aᵀ A B_inv Aᵀ a over the zone's own layers */
  double *zone_null_sd; /* sqrt of the sum of both, and of twice their covariance where B_inv is the
                           prior's Q: null sd of x_T - x_B (spec: general test) */
  double *zone_detectable; /* smallest true change inside the zone alone, pattern p there, that is
                              told from noise with 80 % power at two-sided 5 %: (z_.975 + z_.80)
                              √noise_var / |aᵀA p / aᵀp|; INFINITY if unseen. With the inventory's
                              own error: compare.h */
  double *zone_A;   /* [n_zone*n_state] aᵀA rows: to see another inventory through the kernel */
  double *zone_cov; /* [n_zone*n_zone] posterior covariance of the totals */
  double *zone_inventory_cov; /* [n_zone*n_zone] W B_inv Wᵀ */
} sky_posterior;

/* Kronecker or low rank + diagonal, exact in both: Q is never formed in the latter.
 * SKY_E_NOT_SPD with the row that fails; SKY_E_SIZE beyond SKY_DENSE_CELL_LIMIT;
 * SKY_E_RANGE names the first array and index that is not usable; memory (the problem's own
 * included) is checked against the budget first (SKY_E_NOMEM says what is needed). zones may be
 * NULL. */
SKY_NODISCARD sky_status sky_problem_solve(sky_context *ctx, const sky_problem *p,
                                           const sky_functionals *zones, sky_posterior *out);
/* Bytes that a solve with these functionals (NULL: none, with maps) holds at most on any number of
 * threads, the problem's own arrays included; for plans and budgets. W is not looked at. */
double sky_problem_bytes(const sky_problem *p, const sky_functionals *zones);
void sky_posterior_free(sky_posterior *p); /* NULL-safe, zeroes */

/* Information form: prior x ~ N(x0, diag(x_sd²)), F = K'So⁻¹K, g = K'So⁻¹(y - F(x0)), regularised
 * by gamma: S = (γF + Sa⁻¹)⁻¹, x̂ = x0 + γ S g, A = I - S Sa⁻¹. γ stands for R = So/γ, so the noise
 * of a zone is aᵀ γSFS a (information.md). jo, chi2 and the evidence need y and are NaN; n_obs is
 * 0. An element with x_sd = 0 stays at x0. cov, kernel: [n*n] row-major, may be NULL. */
typedef struct sky_information_problem {
  size_t n;
  const double *F, *g, *x0, *x_sd;
  double gamma;
} sky_information_problem;

SKY_NODISCARD sky_status sky_information_solve(sky_context *ctx, const sky_information_problem *p,
                                               const sky_functionals *zones, double *cov,
                                               double *kernel, sky_posterior *out);

/* Exchange file (NetCDF): y, x0, xc, yc, H_data, H_col, H_rowptr (CSR); attributes Lx_km, Lt_steps,
 * sigma_q, sigma_r, nx, ny, nt, and cov, which names the models: "M in space and time" or "M in
 * space and N in time" up to the first comma, M and N one of none, spherical, exponential,
 * matern32, matern52, gaspari-cohn, matern(NU) with the smoothness NU.
 * Optional beside cov: sector_mixing(sector,sector_too), sector_reach(sector): sectors, see
 * src/read/problem_sectors.h.
 * In place of cov, Lx_km and sigma_q: levels on a mesh, level_length(level) and more, see
 * src/read/problem_levels.h; no limit on the cells then.
 * In place of cov, Lx_km, Lt_steps and sigma_q: q_variance(state) and, where there are factors,
 * q_factor(rank,state) and q_sign(rank), with Q = Σ_k q_sign_k q_factor_k q_factor_kᵀ +
 * diag(q_variance). Optional: x_true(state); x_sd(state), r_sd(obs) in place of sigma_q, sigma_r;
 * along_track(obs) with track(obs) or overpass(obs), r_length and r_share for errors correlated
 * along a track (src/read/problem_noise.h); group(obs), b0, b_sd(background) for background
 * offsets; regressor(regressor,obs) with regressor_mean, regressor_sd(regressor) for errors that
 * follow a known pattern; xc, yc with the unit degree (or degrees_east, degrees_north) are
 * longitude and latitude (great-circle distances), with km or no unit plane coordinates. */
SKY_NODISCARD sky_status sky_problem_read(sky_context *ctx, const char *path, sky_problem *out);

#ifdef __cplusplus
}
#endif
#endif
