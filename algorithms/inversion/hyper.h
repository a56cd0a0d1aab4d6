/* hyper.h: prior and observation errors from the data: maximum likelihood, restricted maximum
 * likelihood (REML) and Desroziers' fixed point (hyper.md; Michalak et al. 2005; Desroziers et al.
 * 2005). All parameters are positive and are handled as logarithms. */
#ifndef SKY_ALGORITHMS_HYPER_H
#define SKY_ALGORITHMS_HYPER_H

#include "algorithms/inversion/geostat.h"

typedef enum sky_hyper_kind {
  SKY_HYPER_LENGTH,  /* length_km of the spatial model */
  SKY_HYPER_TIME,    /* length_steps of the temporal model */
  SKY_HYPER_SIGMA_Q, /* factor on x_sd, of one sector or of all */
  SKY_HYPER_SIGMA_R  /* factor on r_sd, of one sensor or of all */
} sky_hyper_kind;

typedef struct sky_hyper_choice { /* what is tuned */
  bool length, time, sigma_q, sigma_r;
  size_t n_sector;        /* 0 = one factor for the whole state */
  const int32_t *sector;  /* [n_state] 0..n_sector-1 */
  size_t n_sensor;        /* 0 = one factor for all observations */
  const int32_t *sensor;  /* [n_obs] 0..n_sensor-1 */
  const sky_drift *drift; /* REML with this drift; NULL = maximum likelihood with mean x0 */
  size_t max_iterations;  /* 0 = 100 */
} sky_hyper_choice;

enum { SKY_HYPER_MAX = 64 };
/* Matrices of n_obs² that an evaluation with derivatives holds beside one a parameter and dual.h.
 */
enum { SKY_HYPER_SQUARES = 3 };

typedef struct sky_hyper {
  sky_hyper_kind kind;
  int32_t group;    /* sector or sensor; -1 = all */
  double factor;    /* tuned over given */
  double given;     /* length; common sd of the group; NaN where its sds differ: factor only */
  double value;     /* given * factor; the factor where given is NaN */
  double log_sd;    /* sd of log(value) from the Fisher information; NaN for Desroziers */
  double low, high; /* 95 %: value * exp(∓1.96 log_sd) */
  double gradient;  /* of the negative log-likelihood by log(value), at the end */
} sky_hyper;

typedef struct sky_tuning {
  size_t n;
  sky_hyper param[SKY_HYPER_MAX];
  double cov[SKY_HYPER_MAX * SKY_HYPER_MAX]; /* [n*n] of the logarithms: inverse Fisher */
  double nll_given, nll; /* negative log-likelihood (restricted: of contrasts) before and after */
  double decrement; /* √(gᵀF⁻¹g) at the end: distance from the optimum in standard deviations */
  size_t iterations, evaluations;
} sky_tuning;

enum { SKY_HYPER_LABEL = 48 };
/* What a message calls a parameter: "sigma_q of sector 2", sectors and sensors counted from 0. */
void sky_hyper_label(const sky_hyper *h, char label[SKY_HYPER_LABEL]);

/* Negative log-likelihood at factors exp(theta [n]); gradient [n] and Fisher information [n*n] may
 * be NULL. The list of parameters is that of sky_hyper_list. */
SKY_NODISCARD sky_status sky_hyper_evaluate(sky_context *ctx, const sky_problem *p,
                                            const sky_hyper_choice *choice, const double *theta,
                                            double *nll, double *gradient, double *fisher);
/* Fills kind, group and given of every parameter. SKY_E_RANGE: nothing to tune, no correlation
 * model behind E or D, a group without members. */
SKY_NODISCARD sky_status sky_hyper_list(sky_context *ctx, const sky_problem *p,
                                        const sky_hyper_choice *choice, sky_tuning *out);
/* Fisher scoring with Levenberg damping: a step is taken only if it lowers the likelihood's
 * negative logarithm. Ends at decrement < 1e-5; SKY_E_NOT_SPD names a parameter that the data do
 * not tell, SKY_E_RANGE one that ran away, or that the iterations were used up. p is not changed.
 */
SKY_NODISCARD sky_status sky_hyper_tune(sky_context *ctx, const sky_problem *p,
                                        const sky_hyper_choice *choice, sky_tuning *out);
/* Desroziers' fixed point for sigma_r and sigma_q (whole state); lengths stay. */
SKY_NODISCARD sky_status sky_hyper_desroziers(sky_context *ctx, const sky_problem *p,
                                              const sky_hyper_choice *choice, sky_tuning *out);
/* The tuned values into p, whose arrays are its own; for another selection of observations too. */
void sky_hyper_apply(sky_context *ctx, const sky_hyper_choice *choice, const sky_tuning *t,
                     sky_problem *p);

#endif
