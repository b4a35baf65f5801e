# The twelve attacks of table V; hours on a CPU for all images.
_base_ = '../attacks/suite_table_v.py'

columns = {
    'SSP': 'SSP', 'FDA': 'FDA', 'TAP': 'TAP', 'MI': 'MI', 'Auto': 'Auto', 'Square': 'Square', 'Cu&Wh': 'CuWh', 'DIM': 'DIM',
    'PPDA': 'PPDA', 'GeoDA': 'GeoDA', 'SF': 'SF', 'DR': 'DR',
}
num_images = 100
