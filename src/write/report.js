/* report.js: draws the map and the charts of the report from the JSON in the page.
 * When all is drawn, <html data-ready="CHARTS,OVERLAYS"> says how many; tests wait for it. */
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);

  const element = (tag, text, parent) => {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (parent) parent.append(e);
    return e;
  };

  /* ---- map ---- */

  function drawLegend(layer) {
    const box = document.getElementById("legend");
    box.replaceChildren();
    element("div", `${layer.title}, ${layer.unit}`, box);
    if (!layer.stops.length) {
      element("div", "no values", box);
      return;
    }
    const bar = element("div", undefined, box);
    bar.className = "bar";
    bar.style.background = `linear-gradient(to right, ${layer.stops.map((s) => s.colour).join(", ")})`;
    const ticks = element("div", undefined, box);
    ticks.className = "ticks";
    const last = layer.stops.length - 1;
    [0, last / 4, last / 2, (3 * last) / 4, last].forEach((i) =>
      element("span", layer.stops[Math.round(i)].label, ticks));
    element("div", "No colour: no value. Values beyond the ends of the bar take the end's colour.",
      box).className = "note";
  }

  function popup(feature) {
    const box = element("div");
    box.className = "popup";
    element("strong", feature.properties.name, box);
    const list = element("dl", undefined, box);
    for (const row of feature.properties.rows) {
      element("dt", `${row.gas}: ${row.status || "no status"}`, list);
      for (const line of row.lines) element("dd", line, list);
    }
    return box;
  }

  function drawZones(map) {
    if (!data.zones.features.length) return null;
    const opacity = data.layers.length ? 0.08 : 0.45;
    /* A light line under the coloured one keeps outlines visible on dark colours. */
    const halo = L.geoJSON(data.zones, {
      interactive: false, style: { color: "#ffffff", weight: 5, opacity: 0.8, fill: false } });
    const lines = L.geoJSON(data.zones, {
      style: (f) => ({ color: f.properties.colour, weight: 2.5, fillColor: f.properties.colour,
        fillOpacity: opacity }),
      onEachFeature: (f, l) => l.bindPopup(() => popup(f)) });
    return L.layerGroup([halo, lines]).addTo(map);
  }

  function drawMap() {
    const overlays = data.layers.map((layer) => L.imageOverlay(layer.png, layer.bounds,
      { opacity: 0.85, alt: layer.title }));
    const map = L.map("map", { attributionControl: false, zoomAnimation: false,
      fadeAnimation: false, zoomSnap: 0.25 });
    let bounds = null;
    if (overlays.length) bounds = L.latLngBounds(data.layers[0].bounds);
    else bounds = L.geoJSON(data.zones).getBounds();
    map.fitBounds(bounds);
    L.control.scale({ imperial: false }).addTo(map);
    const zones = drawZones(map);

    const choice = document.getElementById("layers");
    const show = (k) => {
      overlays.forEach((o, i) => (i === k ? o.addTo(map) : o.remove()));
      drawLegend(data.layers[k]);
    };
    data.layers.forEach((layer, i) => {
      const label = element("label", undefined, choice);
      const radio = element("input", undefined, label);
      Object.assign(radio, { type: "radio", name: "layer", checked: i === 0 });
      radio.addEventListener("change", () => show(i));
      label.append(layer.title);
    });
    if (zones && overlays.length) {
      const label = element("label", undefined, choice);
      const box = element("input", undefined, label);
      Object.assign(box, { type: "checkbox", checked: true });
      box.addEventListener("change", () => (box.checked ? zones.addTo(map) : zones.remove()));
      label.append("Outlines of the zones");
    }
    if (overlays.length) show(0);
  }

  /* ---- charts ---- */

  const errorBars = {
    id: "errorBars",
    afterDatasetsDraw(chart) {
      const g = chart.ctx;
      g.save();
      g.strokeStyle = "#1f2933";
      g.lineWidth = 1.5;
      chart.data.datasets.forEach((set, k) => {
        chart.getDatasetMeta(k).data.forEach((bar, i) => {
          const value = set.data[i], sd = set.sd[i];
          if (value === null || sd === null) return;
          const from = chart.scales.x.getPixelForValue(value - sd);
          const to = chart.scales.x.getPixelForValue(value + sd);
          g.beginPath();
          g.moveTo(from, bar.y);
          g.lineTo(to, bar.y);
          for (const x of [from, to]) {
            g.moveTo(x, bar.y - 4);
            g.lineTo(x, bar.y + 4);
          }
          g.stroke();
        });
      });
      g.restore();
    },
  };

  /* Axis limits that hold the error bars, which Chart.js does not know. */
  function limits(series) {
    const ends = [0];
    for (const s of series) {
      s.value.forEach((v, i) => {
        if (v !== null) ends.push(v - (s.sd[i] || 0), v + (s.sd[i] || 0));
      });
    }
    return { suggestedMin: Math.min(...ends), suggestedMax: Math.max(...ends) };
  }

  function drawChart(chart) {
    const box = document.getElementById(chart.id);
    box.style.height = `${90 + chart.zones.length * 22 * (chart.series.length + 0.6)}px`;
    return new Chart(box.querySelector("canvas"), {
      type: "bar",
      data: {
        labels: chart.zones,
        datasets: chart.series.map((s) => ({ label: s.label, data: s.value, sd: s.sd,
          backgroundColor: s.colour, maxBarThickness: 18 })),
      },
      options: {
        indexAxis: "y", animation: false, responsive: true, maintainAspectRatio: false,
        scales: {
          x: { ...limits(chart.series), title: { display: true, text: chart.unit } },
          y: { ticks: { autoSkip: false,
            callback(value) {
              const name = this.getLabelForValue(value);
              return name.length > 24 ? name.slice(0, 23) + "…" : name;
            } } },
        },
        plugins: {
          legend: { position: "top", align: "start" },
          tooltip: { callbacks: { label: (item) => {
            const sd = item.dataset.sd[item.dataIndex];
            const text = `${item.dataset.label}: ${Number(item.raw.toPrecision(4))}`;
            return sd === null ? text : `${text} ± ${Number(sd.toPrecision(2))}`;
          } } },
        },
      },
      plugins: [errorBars],
    });
  }

  if (document.getElementById("map")) drawMap();
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.color = "#1f2933";
  const charts = data.charts.map(drawChart);
  window.addEventListener("beforeprint", () => charts.forEach((c) => c.resize()));
  window.addEventListener("afterprint", () => charts.forEach((c) => c.resize()));

  const decoded = data.layers.map((layer) => {
    const image = new Image();
    image.src = layer.png;
    return image.decode().then(() => 1, () => 0);
  });
  Promise.all(decoded).then((ok) => {
    document.documentElement.dataset.ready = `${charts.length},${ok.reduce((a, b) => a + b, 0)}`;
  });
})();
