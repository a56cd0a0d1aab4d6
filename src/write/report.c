/* report.c: the page itself.
 *
 * Tables and sentences are in the HTML, so the page says everything without its script; the script
 * adds the map and the charts. A content policy in the page forbids every request. */
#include "src/write/report.h"

#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/write/json_out.h"
#include "src/write/report_assets.h"
#include "src/write/report_parts.h"
#include "src/write/style.h"

static void put_asset(sky_text *t, const char *name) {
  size_t length = 0;
  const char *text = sky_report_asset(name, &length);
  if (text != NULL) sky_text_add(t, text, length);
}

static void put_head(sky_text *t, const sky_report *r) {
  sky_text_put(t,
               "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
               "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src "
               "data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
               "<meta name=\"generator\" content=\"skyflux " SKYFLUX_VERSION "\">\n<title>");
  sky_html_put(t, r->title);
  sky_text_put(t, "</title>\n<!--\n");
  put_asset(t, "report_licences.txt");
  sky_text_put(t, "-->\n<style>\n");
  put_asset(t, "leaflet.css");
  put_asset(t, "report.css");
  sky_text_put(t, "</style>\n</head>\n");
}

/* "2 higher, 1 not comparable": the answer before the numbers. */
static void put_tally(sky_text *t, const sky_report *r, const char *gas) {
  const sky_status_style *styles = NULL;
  const size_t n = sky_status_styles(&styles);
  sky_text_put(t, "<ul class=\"tally\" aria-label=\"zones by status\">\n");
  for (size_t k = 0; k < n; k++) {
    size_t count = 0;
    for (size_t i = 0; i < r->n_rows; i++) {
      const sky_zone_row *row = &r->rows[i];
      count += row->gas != NULL && strcmp(row->gas, gas) == 0 && row->status != NULL &&
               strcmp(row->status, styles[k].status) == 0;
    }
    if (count == 0) continue;
    sky_text_printf(t, "<li><span class=\"dot\" style=\"background:%s\"></span>%zu %s</li>\n",
                    styles[k].colour, count, styles[k].status);
  }
  sky_text_put(t, "</ul>\n");
}

static void put_header(sky_text *t, const sky_report *r) {
  sky_text_put(t, "<header>\n<h1>");
  sky_html_put(t, r->title);
  sky_text_put(t, "</h1>\n");
  if (r->subtitle != NULL && r->subtitle[0] != '\0') {
    sky_text_put(t, "<p class=\"subtitle\">");
    sky_html_put(t, r->subtitle);
    sky_text_put(t, "</p>\n");
  }
  sky_text_put(t, "<div class=\"headlines\">\n");
  for (size_t i = 0; i < r->n_headlines; i++) {
    sky_text_printf(t, "<article><h2>%s</h2>\n", sky_report_gas(r->headlines[i].gas));
    put_tally(t, r, r->headlines[i].gas);
    sky_text_put(t, "<p>");
    sky_html_put(t, r->headlines[i].text);
    sky_text_put(t, "</p></article>\n");
  }
  sky_text_put(t, "</div>\n</header>\n");
}

static void put_warnings(sky_text *t, const sky_report *r) {
  bool open = false;
  for (size_t i = 0; i < r->n_facts; i++) {
    const sky_report_fact *f = &r->facts[i];
    if (strcmp(f->section, "warnings") != 0) continue;
    if (!open) sky_text_put(t, "<section class=\"warnings\">\n<h2>Warnings</h2>\n<ul>\n");
    open = true;
    sky_text_put(t, "<li>");
    sky_html_put(t, f->label);
    if (f->label != NULL && f->label[0] != '\0') sky_text_put(t, ": ");
    sky_html_put(t, f->value);
    sky_text_put(t, "</li>\n");
  }
  if (open) sky_text_put(t, "</ul>\n</section>\n");
}

static void put_map(sky_text *t, const cJSON *data) {
  const cJSON *features = cJSON_GetObjectItem(cJSON_GetObjectItem(data, "zones"), "features");
  const bool has_layers = cJSON_GetArraySize(cJSON_GetObjectItem(data, "layers")) > 0;
  if (!has_layers && cJSON_GetArraySize(features) == 0) return;
  sky_text_put(t,
               "<section>\n<h2>Map</h2>\n"
               "<fieldset class=\"choice\" id=\"gases\"><legend>Gas</legend></fieldset>\n"
               "<fieldset class=\"choice\" id=\"layers\"><legend>Show</legend></fieldset>\n"
               "<div class=\"choice\" id=\"outlines\"></div>\n"
               "<div id=\"map\" role=\"region\" aria-label=\"map\"></div>\n"
               "<div class=\"legend\" id=\"legend\"></div>\n"
               "<noscript><p>The map and the charts need JavaScript; the tables below do "
               "not.</p></noscript>\n</section>\n");
}

/* Room for the charts of a gas, one a level. */
static void put_charts(sky_text *t, const cJSON *data, const char *gas) {
  const cJSON *chart = NULL;
  size_t id = 0;
  sky_text_put(t, "<div class=\"charts\">\n");
  cJSON_ArrayForEach(chart, cJSON_GetObjectItem(data, "charts")) {
    const size_t own = id++;
    if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(chart, "gas")), gas) != 0) continue;
    const char *level = cJSON_GetStringValue(cJSON_GetObjectItem(chart, "level"));
    sky_text_put(t, "<figure>");
    if (level[0] != '\0') {
      sky_text_put(t, "<figcaption>");
      sky_html_put(t, level);
      sky_text_put(t, "</figcaption>");
    }
    sky_text_printf(
        t,
        "<div class=\"chart\" id=\"chart-%zu\"><canvas role=\"img\" aria-label=\"Bars of "
        "the totals in the table below, %s\"></canvas></div>",
        own, cJSON_GetStringValue(cJSON_GetObjectItem(chart, "unit")));
    if (cJSON_IsTrue(cJSON_GetObjectItem(chart, "more")))
      sky_text_printf(t, "<p class=\"note\">The %d largest zones; the table has all.</p>",
                      SKY_REPORT_CHART_ROWS);
    sky_text_put(t, "</figure>\n");
  }
  sky_text_put(t, "</div>\n");
}

static void put_comparison(sky_text *t, const sky_report *r, const cJSON *data) {
  if (r->n_rows == 0) return;
  sky_text_put(t,
               "<section>\n<h2>Top-down against bottom-up</h2>\n<p class=\"note\">"
               "Flux to the atmosphere; uptake is negative. Prior: assumed before the "
               "observations. Top-down: after them. Information: the share of the prior "
               "variance that they removed. Detectable: the smallest error of the inventory "
               "that they would find with 80 % power.</p>\n");
  for (size_t i = 0; i < r->n_rows; i++) {
    if (!sky_report_opens_gas(r, i)) continue;
    const char *gas = r->rows[i].gas;
    sky_text_printf(t, "<h3 class=\"gas\">%s</h3>\n", sky_report_gas(gas));
    put_charts(t, data, gas);
    sky_report_comparison(t, r, gas);
  }
  sky_text_put(t, "<h3>What the statuses mean</h3>\n");
  sky_report_statuses(t);
  sky_text_put(t, "</section>\n");
}

/* JSON inside a script element: "<" is written \u003c, so that no text can end the element. */
static void put_data(sky_text *t, const cJSON *data) {
  char *json = sky_json_text(t->ctx, data, false);
  if (json == NULL) {
    t->failed = true;
    return;
  }
  sky_text_put(t, "<script type=\"application/json\" id=\"data\">");
  for (const char *p = json; *p != '\0';) {
    const size_t n = strcspn(p, "<");
    sky_text_add(t, p, n);
    p += n;
    if (*p == '<') {
      sky_text_put(t, "\\u003c");
      p++;
    }
  }
  sky_text_put(t, "</script>\n");
  sky_free(json);
}

static void put_script(sky_text *t, const char *name) {
  sky_text_put(t, "<script>\n");
  put_asset(t, name);
  sky_text_put(t, "</script>\n");
}

sky_status sky_report_write(sky_context *ctx, const char *path, const sky_report *r) {
  sky_status st = SKY_OK;
  cJSON *data = NULL;
  char *html = NULL;
  sky_text t = {.ctx = ctx};
  SKY_GO(sky_report_data(ctx, r, &data));
  put_head(&t, r);
  sky_text_put(&t, "<body>\n");
  put_header(&t, r);
  sky_text_put(&t, "<main>\n");
  put_warnings(&t, r);
  put_map(&t, data);
  put_comparison(&t, r, data);
  sky_report_sinks(&t, r);
  sky_report_observations(&t, r);
  sky_report_facts(&t, r);
  sky_text_put(
      &t, "</main>\n<footer>Written by skyflux " SKYFLUX_VERSION
          ". Values in full precision: the zone table (CSV, GeoPackage) and the rasters beside "
          "this page.</footer>\n");
  put_data(&t, data);
  put_script(&t, "leaflet.js");
  put_script(&t, "chart.js");
  put_script(&t, "report.js");
  sky_text_put(&t, "</body>\n</html>\n");
  SKY_GO_ALLOC(html, sky_text_take(&t));
  SKY_GO(sky_file_write_text(ctx, path, html, strlen(html)));

cleanup:
  sky_text_free(&t);
  sky_free(html);
  cJSON_Delete(data);
  return st;
}
